//! MOSN's feature gates: `--feature-gates a=true,b=false`.

/// Every gate of MOSN 1.4; all are off unless they are opened.
const GATES: [&str; 4] = [
    "MultiTenantMode",
    "PayLoadLimitEnable",
    "XdsMtlsEnable",
    "auto_config",
];

/// Which gates are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gates([bool; GATES.len()]);

impl Gates {
    /// Reads what the flag says, in MOSN's words where it is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut gates = Self::default();
        for item in text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let (name, value) = item
                .split_once('=')
                .ok_or_else(|| format!("invalid parameter {item}"))?;
            let (name, value) = (name.trim(), value.trim());
            let open = super::arguments::go_bool(value)
                .map_err(|_| format!("invalid state value: {value}, should a boolean value"))?;
            let gate = GATES.iter().position(|gate| *gate == name);
            let gate = gate.ok_or_else(|| {
                format!("set feature state for {name}: feature {name} is not registered")
            })?;
            gates.0[gate] = open;
        }
        Ok(gates)
    }

    /// Whether changes at run time are written back to the configuration file.
    pub(super) fn auto_config(&self) -> bool {
        self.0[3]
    }

    /// Every gate and whether it is open.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, bool)> {
        GATES.into_iter().zip(self.0)
    }

    /// Open gates that open nothing here.
    pub(super) fn idle(&self) -> impl Iterator<Item = &'static str> {
        self.all()
            .filter(|(name, open)| *open && *name != "auto_config")
            .map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_as_mosn_reads_them() {
        let gates = Gates::parse(" auto_config = T ,XdsMtlsEnable=1,").unwrap();
        assert!(gates.auto_config());
        assert_eq!(gates.idle().collect::<Vec<_>>(), ["XdsMtlsEnable"]);
        assert!(!Gates::parse("").unwrap().auto_config());
        for (text, why) in [
            ("auto_config", "invalid parameter auto_config"),
            (
                "auto_config=yes",
                "invalid state value: yes, should a boolean value",
            ),
            (
                "z=true",
                "set feature state for z: feature z is not registered",
            ),
        ] {
            assert_eq!(Gates::parse(text), Err(why.to_owned()), "{text}");
        }
    }
}
