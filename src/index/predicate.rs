//! Expressions such as `status = success and (facet.alpha > 0.5 or step ~ 'fit*')`: read, not yet understood.

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Is,
    /// `!=`
    IsNot,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `~`: the whole text is as the pattern says.
    Like,
    /// `!~`
    Unlike,
    /// `in (a, b)`
    In,
    /// `not in (a, b)`
    NotIn,
}

/// A value as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Without its quotes.
    pub text: String,
    /// Whether it had some: then it is text.
    pub is_quoted: bool,
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// All of them hold.
    All(Vec<Expr>),
    /// One of them holds.
    Any(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// A comparison.
    Compare(String, Comparison, Vec<Literal>),
    /// It is there; of what is true or false, it is true.
    Has(String),
}

/// Why an expression can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at character {at} of `{text}`")]
pub struct ParseError {
    /// What is wrong.
    pub what: String,
    /// Where, counted in characters from 1.
    pub at: usize,
    /// The expression.
    pub text: String,
}

/// How deep parentheses may lie in each other.
const DEEPEST: usize = 100;

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut reader = Reader { text, tokens: tokens(text)?, at: 0, depth: 0 };
        let expr = reader.any()?;
        match reader.peek() {
            None => Ok(expr),
            Some(token) => Err(reader.wrong(format!("`{}` is too much", token.shown()))),
        }
    }

    /// The names in it, in order.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Expr::All(all) | Expr::Any(all) => all.iter().flat_map(Expr::names).collect(),
            Expr::Not(one) => one.names(),
            Expr::Compare(name, ..) | Expr::Has(name) => vec![name],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Comma,
    Sign(&'static str),
    Word(String),
    Quoted(String),
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Token::Open => "(".to_owned(),
            Token::Close => ")".to_owned(),
            Token::Comma => ",".to_owned(),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::Word(word) => word.clone(),
            Token::Quoted(text) => format!("'{text}'"),
        }
    }

    fn is_word(&self, wanted: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(wanted))
    }
}

const SIGNS: [&str; 13] = ["==", "!=", "<>", "<=", ">=", "!~", "&&", "||", "=", "<", ">", "~", "!"];

fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ParseError> {
    let mut found = Vec::new();
    let mut rest = text.char_indices().peekable();
    let position = |byte: usize| text[..byte].chars().count() + 1;
    while let Some(&(byte, c)) = rest.peek() {
        let at = position(byte);
        match c {
            _ if c.is_whitespace() => {
                rest.next();
            }
            '(' | ')' | ',' => {
                rest.next();
                found.push((
                    match c {
                        '(' => Token::Open,
                        ')' => Token::Close,
                        _ => Token::Comma,
                    },
                    at,
                ));
            }
            '\'' | '"' => {
                rest.next();
                let mut quoted = String::new();
                loop {
                    match rest.next() {
                        None => {
                            let what = format!("the text that begins with {c} has no end");
                            return Err(ParseError { what, at, text: text.to_owned() });
                        }
                        // A quote that stands twice is one.
                        Some((_, end)) if end == c => match rest.peek() {
                            Some(&(_, next)) if next == c => {
                                rest.next();
                                quoted.push(c);
                            }
                            _ => break,
                        },
                        Some((_, other)) => quoted.push(other),
                    }
                }
                found.push((Token::Quoted(quoted), at));
            }
            _ => {
                if let Some(sign) = SIGNS.iter().find(|sign| text[byte..].starts_with(**sign)) {
                    for _ in 0..sign.len() {
                        rest.next();
                    }
                    found.push((Token::Sign(sign), at));
                    continue;
                }
                let mut word = String::new();
                while let Some(&(_, c)) = rest.peek() {
                    if c == '\\' {
                        rest.next();
                        word.push('\\');
                        if let Some((_, next)) = rest.next() {
                            word.push(next);
                        }
                        continue;
                    }
                    if c.is_whitespace() || "(),'\"=<>!~&|".contains(c) {
                        break;
                    }
                    word.push(c);
                    rest.next();
                }
                if word.is_empty() {
                    return Err(ParseError { what: format!("`{c}` means nothing"), at, text: text.to_owned() });
                }
                found.push((Token::Word(word), at));
            }
        }
    }
    Ok(found)
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).map(|(token, _)| token.clone());
        self.at += 1;
        token
    }

    fn takes(&mut self, is_it: impl Fn(&Token) -> bool) -> bool {
        let found = self.peek().is_some_and(is_it);
        self.at += usize::from(found);
        found
    }

    fn wrong(&self, what: String) -> ParseError {
        let at = self.tokens.get(self.at).map_or(self.text.chars().count() + 1, |(_, at)| *at);
        ParseError { what, at, text: self.text.to_owned() }
    }

    fn any(&mut self) -> Result<Expr, ParseError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong("it is nested too deep".to_owned()));
        }
        let mut all = vec![self.all()?];
        while self.takes(|token| token.is_word("or") || *token == Token::Sign("||")) {
            all.push(self.all()?);
        }
        self.depth -= 1;
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::Any(all) })
    }

    fn all(&mut self) -> Result<Expr, ParseError> {
        let mut all = vec![self.one()?];
        while self.takes(|token| token.is_word("and") || *token == Token::Sign("&&")) {
            all.push(self.one()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::All(all) })
    }

    fn one(&mut self) -> Result<Expr, ParseError> {
        if self.takes(|token| token.is_word("not") || *token == Token::Sign("!")) {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(self.wrong("it is nested too deep".to_owned()));
            }
            let one = self.one()?;
            self.depth -= 1;
            return Ok(Expr::Not(Box::new(one)));
        }
        if self.takes(|token| *token == Token::Open) {
            let inner = self.any()?;
            return if self.takes(|token| *token == Token::Close) {
                Ok(inner)
            } else {
                Err(self.wrong("`)` is missing".to_owned()))
            };
        }
        match self.peek() {
            Some(Token::Word(_)) => {}
            Some(token) => return Err(self.wrong(format!("a name is wanted, `{}` is none", token.shown()))),
            None => return Err(self.wrong("a name is missing".to_owned())),
        }
        let Some(Token::Word(mut name)) = self.next() else { return Err(self.wrong("a name is missing".to_owned())) };
        // `facet.'any text'`: the quotes are part of the name's way of writing.
        if name.ends_with('.')
            && let Some(Token::Quoted(rest)) = self.peek()
        {
            name.push_str(&rest.replace('\\', "\\\\").replace('.', "\\."));
            self.at += 1;
        }
        self.comparison(name)
    }

    fn comparison(&mut self, name: String) -> Result<Expr, ParseError> {
        let comparison = match self.peek() {
            Some(Token::Sign(sign)) => match *sign {
                "=" | "==" => Comparison::Is,
                "!=" | "<>" => Comparison::IsNot,
                "<" => Comparison::Less,
                "<=" => Comparison::AtMost,
                ">" => Comparison::More,
                ">=" => Comparison::AtLeast,
                "~" => Comparison::Like,
                "!~" => Comparison::Unlike,
                _ => return Ok(Expr::Has(name)),
            },
            Some(token) if token.is_word("in") => Comparison::In,
            Some(token) if token.is_word("not") => {
                self.at += 1;
                if !self.peek().is_some_and(|token| token.is_word("in")) {
                    return Err(self.wrong("after `not`, `in` is wanted here".to_owned()));
                }
                Comparison::NotIn
            }
            _ => return Ok(Expr::Has(name)),
        };
        self.at += 1;
        if !matches!(comparison, Comparison::In | Comparison::NotIn) {
            let value = self.value()?;
            return Ok(Expr::Compare(name, comparison, vec![value]));
        }
        if !self.takes(|token| *token == Token::Open) {
            return Err(self.wrong("after `in`, `(` is wanted".to_owned()));
        }
        let mut values = vec![self.value()?];
        while self.takes(|token| *token == Token::Comma) {
            values.push(self.value()?);
        }
        if !self.takes(|token| *token == Token::Close) {
            return Err(self.wrong("`)` is missing after the list".to_owned()));
        }
        Ok(Expr::Compare(name, comparison, values))
    }

    fn value(&mut self) -> Result<Literal, ParseError> {
        match self.peek() {
            Some(Token::Word(text)) => {
                let literal = Literal { text: text.clone(), is_quoted: false };
                self.at += 1;
                Ok(literal)
            }
            Some(Token::Quoted(text)) => {
                let literal = Literal { text: text.clone(), is_quoted: true };
                self.at += 1;
                Ok(literal)
            }
            Some(token) => Err(self.wrong(format!("a value is wanted, `{}` is none", token.shown()))),
            None => Err(self.wrong("a value is missing".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compare(name: &str, comparison: Comparison, values: &[(&str, bool)]) -> Expr {
        let literal = |(text, is_quoted): &(&str, bool)| Literal { text: (*text).to_owned(), is_quoted: *is_quoted };
        Expr::Compare(name.to_owned(), comparison, values.iter().map(literal).collect())
    }

    #[test]
    fn and_binds_tighter_than_or() {
        let a = compare("a", Comparison::Is, &[("1", false)]);
        let b = compare("b", Comparison::More, &[("2", false)]);
        let c = Expr::Not(Box::new(Expr::Has("c".to_owned())));
        assert_eq!(
            Expr::parse("a=1 or b>2 and not c").unwrap(),
            Expr::Any(vec![a.clone(), Expr::All(vec![b.clone(), c.clone()])])
        );
        assert_eq!(Expr::parse("(a = 1 || b > 2) && !c").unwrap(), Expr::All(vec![Expr::Any(vec![a, b]), c]));
    }

    #[test]
    fn lists_globs_quotes_and_escaped_dots_are_read() {
        assert_eq!(
            Expr::parse("step not in (a, 'b c')").unwrap(),
            compare("step", Comparison::NotIn, &[("a", false), ("b c", true)])
        );
        assert_eq!(Expr::parse("step ~ 'fit*'").unwrap(), compare("step", Comparison::Like, &[("fit*", true)]));
        assert_eq!(Expr::parse(r"facet.a\.b=1").unwrap(), compare(r"facet.a\.b", Comparison::Is, &[("1", false)]));
        assert_eq!(
            Expr::parse("facet.'a.b c' = 1").unwrap(),
            compare(r"facet.a\.b c", Comparison::Is, &[("1", false)])
        );
        assert_eq!(Expr::parse("x = 'it''s'").unwrap(), compare("x", Comparison::Is, &[("it's", true)]));
        let time = compare("started_at", Comparison::AtLeast, &[("2026-03-01T10:00:00Z", false)]);
        assert_eq!(Expr::parse("started_at>=2026-03-01T10:00:00Z").unwrap(), time);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, what, at) in [
            ("", "a name is missing", 1),
            ("a =", "a value is missing", 4),
            ("(a = 1", "`)` is missing", 7),
            ("a = 1 b", "`b` is too much", 7),
            ("a in 3", "`(` is wanted", 6),
            ("a = 'x", "has no end", 5),
            ("= 3", "a name is wanted", 1),
            ("a & b", "means nothing", 3),
        ] {
            let err = Expr::parse(text).unwrap_err();
            assert!(err.what.contains(what), "{text}: {err}");
            assert_eq!(err.at, at, "{text}: {err}");
        }
        assert!(Expr::parse(&"(".repeat(100_000)).is_err());
        assert!(Expr::parse(&"not ".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z .'\"()=<>!~&|,\\\\é0-9]{0,40}") {
            let _ = Expr::parse(&text);
        }
    }
}
