//! What routes ask for, in words.

use std::fmt::{self, Display, Formatter};

use super::{
    Domain, DomainHost, FieldMatch, Matcher, Model, Port, TextMatch, Variable, VariableMatch,
};

impl Display for Domain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.host, &self.port) {
            (DomainHost::Any, _) => return f.write_str("*"),
            (DomainHost::Exact(name), _) => f.write_str(name)?,
            (DomainHost::Suffix(suffix), _) => write!(f, "*{suffix}")?,
        }
        match &self.port {
            Port::Any => f.write_str(":*"),
            Port::None => Ok(()),
            Port::Exact(port) => write!(f, ":{port}"),
        }
    }
}

impl Display for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let fields = match self {
            Self::Prefix(prefix, fields) => {
                write!(f, "prefix {prefix}")?;
                fields
            }
            Self::Path(path, fields) => {
                write!(f, "path {path}")?;
                fields
            }
            Self::Regex(pattern, fields) => {
                write!(f, "regex {}", pattern.as_str())?;
                fields
            }
            Self::Variables(items) => return variables(items, f),
            Self::Service(None) => return f.write_str("any service"),
            Self::Service(Some(service)) => return write!(f, "service {service}"),
            Self::Fields(fields) if fields.is_empty() => return f.write_str("every request"),
            Self::Fields(fields) => {
                f.write_str("every request")?;
                fields
            }
            Self::Never => return f.write_str("nothing, as dsl_expressions are not yet in effect"),
        };
        for (index, field) in fields.iter().enumerate() {
            write!(f, " {} {field}", if index == 0 { "with" } else { "and" })?;
        }
        Ok(())
    }
}

fn variables(items: &[VariableMatch], f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str("variables ")?;
    for (index, item) in items.iter().enumerate() {
        let joined_by = index.checked_sub(1).map(|before| items[before].model);
        match joined_by {
            None => {}
            Some(Model::And) => f.write_str(" and ")?,
            Some(Model::Or) => f.write_str(" or ")?,
        }
        write!(f, "{} {}", item.variable, item.text)?;
    }
    Ok(())
}

/// The name by which a configuration knows it.
impl Display for Variable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(known) => f.write_str(known.name()),
            Self::RequestField(name) => write!(f, "request_header_{name}"),
            Self::ResponseField(name) => write!(f, "response_header_{name}"),
            Self::QueryArgument(name) => write!(f, "Http1_request_arg_{name}"),
            Self::Cookie(name) => write!(f, "Http1_cookie_{name}"),
            Self::Valueless(name) | Self::Unknown(name) => f.write_str(name),
        }
    }
}

impl Display for FieldMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(method) => write!(f, "method = {method}"),
            Self::Field(name, text) => write!(f, "{name} {text}"),
        }
    }
}

impl Display for TextMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "= {text}"),
            Self::Regex(pattern) => write!(f, "~ {}", pattern.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Known, Pattern};
    use super::*;

    #[test]
    fn a_rule_reads_as_a_person_would_say_it() {
        let version = FieldMatch::Field("x-v".to_owned(), TextMatch::Exact("2".to_owned()));
        let get = FieldMatch::Method("GET".to_owned());
        let digits = Pattern::new("^/[0-9]+").unwrap();
        let item = |model| VariableMatch {
            variable: Variable::Known(Known::Method),
            text: TextMatch::Exact("PUT".to_owned()),
            model,
        };
        for (matcher, expected) in [
            (
                Matcher::Prefix("/a".into(), vec![version.clone(), get]),
                "prefix /a with x-v = 2 and method = GET",
            ),
            (Matcher::Path("/a".into(), vec![]), "path /a"),
            (
                Matcher::Regex(digits, vec![version.clone()]),
                "regex ^/[0-9]+ with x-v = 2",
            ),
            (Matcher::Service(None), "any service"),
            (Matcher::Fields(vec![]), "every request"),
            (Matcher::Fields(vec![version]), "every request with x-v = 2"),
            (
                Matcher::Variables(vec![item(Model::Or), item(Model::And)]),
                "variables x-mosn-method = PUT or x-mosn-method = PUT",
            ),
        ] {
            assert_eq!(matcher.to_string(), expected);
        }
    }

    #[test]
    fn a_domain_reads_as_it_is_written() {
        let domain = |host, port| Domain { host, port }.to_string();
        let suffix = DomainHost::Suffix(".example".to_owned());
        let exact = DomainHost::Exact("a.example".to_owned());
        assert_eq!(domain(DomainHost::Any, Port::Any), "*");
        assert_eq!(domain(suffix, Port::Any), "*.example:*");
        assert_eq!(domain(exact.clone(), Port::None), "a.example");
        assert_eq!(domain(exact, Port::Exact("80".to_owned())), "a.example:80");
    }
}
