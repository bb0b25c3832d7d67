# What a contributor runs. `.ci/run` does all of it and more, with plain cargo.

# Types only: the quick answer while writing.
check:
    cargo check --all-targets --all-features

# Everything, or the tests whose names contain FILTER.
test FILTER="":
    cargo test --all-features {{ FILTER }}

# The exchanges of HTTP whose file or name contains WORD.
exchanges WORD="":
    EXCHANGES={{ WORD }} cargo test --test http

# One parser against what nobody thought of: `just fuzz http1_request` (needs cargo-fuzz and nightly).
fuzz TARGET *ARGS:
    cargo +nightly fuzz run {{ TARGET }} {{ ARGS }}

lint:
    cargo fmt --all --check
    cargo clippy --all-targets -- -D warnings
    cargo clippy --all-targets --all-features -- -D warnings

docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

# The comparison with peers: `just bench tcp-bulk --rounds 9`.
bench *ARGS:
    cargo bench --bench peers -- {{ ARGS }}

run CONFIG:
    cargo run --release -- start --config {{ CONFIG }}

# Licences, advisories and bans of what is depended on (needs cargo-deny).
deny:
    cargo deny check
