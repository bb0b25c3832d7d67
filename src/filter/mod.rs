//! Hooks on requests: what may look at, change or answer them.
