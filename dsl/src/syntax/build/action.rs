//! What stands behind an arrow.

use super::{Builder, literal, need, only};
use crate::syntax::ast::{Action, RespondBody, Share, VisitDoes};
use crate::syntax::grammar::{Pair, Rule};
use crate::syntax::span::Spanned;

/// `a else b else c …` would nest without a bracket to count.
const MAX_ELSE: usize = 8;

impl Builder {
    /// The rule `action`.
    pub(super) fn action(&mut self, pair: Pair<'_>) -> Spanned<Action> {
        let whole = self.span(&pair);
        let mut built = Vec::new();
        for part in pair.into_inner() {
            if part.as_rule() == Rule::simple {
                let span = self.span(&part);
                let action = self.simple(only(part));
                built.push(Spanned::new(action, span));
            }
        }
        if built.len() > MAX_ELSE {
            self.error(whole, format!("`else` stands {} times in a row; {MAX_ELSE} are allowed", built.len() - 1));
            built.truncate(1);
        }
        let mut last = built.pop().expect("an action has at least one part");
        while let Some(mut before) = built.pop() {
            before.span = before.span.to(last.span);
            match &mut before.node {
                Action::Proxy { otherwise, .. } => *otherwise = Some(Box::new(last)),
                Action::Redirect { .. }
                | Action::Respond { .. }
                | Action::Relay { .. }
                | Action::Deny { .. }
                | Action::Visit { .. }
                | Action::Files { .. }
                | Action::Split { .. } => {
                    self.error(last.span, "`else` follows only a look-up such as `tenants[tenant]`: this destination always has an answer");
                }
            }
            last = before;
        }
        last
    }

    fn simple(&mut self, pair: Pair<'_>) -> Action {
        match pair.as_rule() {
            Rule::answer => self.answer(pair),
            Rule::split => self.split(pair),
            _ => self.proxy(pair),
        }
    }

    pub(super) fn answer(&mut self, pair: Pair<'_>) -> Action {
        let pair = only(pair);
        match pair.as_rule() {
            Rule::redirect => self.redirect(pair),
            Rule::respond => self.respond(pair),
            Rule::deny => {
                let status = pair.into_inner().find(|part| part.as_rule() == Rule::literal);
                Action::Deny { status: status.map(|literal| self.status_at(&literal)) }
            }
            rule @ (Rule::login | Rule::logout) => {
                let does = if rule == Rule::login { VisitDoes::Login } else { VisitDoes::Logout };
                let name = pair.into_inner().last().expect("`login` has a name");
                Action::Visit { does, provider: self.name(name) }
            }
            _ => self.files(pair),
        }
    }

    fn status_at(&mut self, pair: &Pair<'_>) -> Spanned<i64> {
        let span = self.span(pair);
        Spanned::new(self.status(pair.as_str(), span), span)
    }

    fn redirect(&mut self, pair: Pair<'_>) -> Action {
        let mut pairs = pair.into_inner();
        need(&mut pairs);
        let mut next = need(&mut pairs);
        let mut status = None;
        if next.as_rule() == Rule::literal {
            status = Some(self.status_at(&next));
            next = need(&mut pairs);
        }
        Action::Redirect { status, to: self.template(next) }
    }

    fn respond(&mut self, pair: Pair<'_>) -> Action {
        let mut pairs = pair.into_inner();
        need(&mut pairs);
        let first = need(&mut pairs);
        if first.as_rule() == Rule::said {
            return Action::Relay { said: self.form(only(first)) };
        }
        let status = self.status_at(&first);
        let (mut body, mut content_type) = (None, None);
        for part in pairs {
            match part.as_rule() {
                Rule::string => body = Some(RespondBody::Text(self.template(part))),
                Rule::body_file => {
                    let file = part.into_inner().last().expect("`file` has a name");
                    body = Some(RespondBody::File(self.quoted(file)));
                }
                _ => {
                    let text = part.into_inner().last().expect("`type` has a text");
                    content_type = Some(self.template(text));
                }
            }
        }
        Action::Respond { status, body, content_type }
    }

    fn files(&mut self, pair: Pair<'_>) -> Action {
        let mut pairs = pair.into_inner();
        need(&mut pairs);
        let dir = self.quoted(need(&mut pairs));
        let (mut index, mut fallback, mut at) = (None, None, None);
        for part in pairs {
            let (rule, span) = (part.as_rule(), self.span(&part));
            let value = part.into_inner().last().expect("an option of `files` has a value");
            let twice = match rule {
                Rule::files_index => index.replace(self.quoted(value)).is_some(),
                Rule::files_fallback => fallback.replace(self.template(value)).is_some(),
                _ => at.replace(self.template(value)).is_some(),
            };
            if twice {
                self.error(span, "this is said twice");
            }
        }
        Action::Files { dir, index, fallback, at }
    }

    fn split(&mut self, pair: Pair<'_>) -> Action {
        let (mut shares, mut by) = (Vec::new(), None);
        for part in pair.into_inner() {
            if part.as_rule() == Rule::by {
                let key = part.into_inner().last().expect("`by` has a key");
                by = Some(self.operand(key));
                continue;
            }
            let mut pairs = part.into_inner();
            let percent = need(&mut pairs);
            let span = self.span(&percent);
            let basis_points = Spanned::new(self.percentage(percent.as_str(), span), span);
            shares.push(Share { basis_points, pool: self.name(need(&mut pairs)) });
        }
        Action::Split { shares, by }
    }

    fn percentage(&mut self, text: &str, span: crate::syntax::span::Span) -> u32 {
        let Some(number) = text.strip_suffix('%') else {
            self.error_instead(span, format!("the share `{text}` is not a percentage"), "write", &format!("{text}%"));
            return 0;
        };
        match literal::percent(number) {
            Ok(points) => points,
            Err(wrong) => {
                self.wrong(span, wrong);
                0
            }
        }
    }

    fn proxy(&mut self, pair: Pair<'_>) -> Action {
        let mut pairs = pair.into_inner();
        let to = self.form(need(&mut pairs));
        if let crate::syntax::ast::Expr::Name(name) = &to.node
            && let [answer] = name.parts.as_slice()
            && crate::syntax::words::ANSWERS.contains(&answer.node.as_str())
        {
            let (needs, such) = match answer.node.as_str() {
                "redirect" => ("where to", "redirect 308 /new"),
                "files" => ("a directory", "files \"public\""),
                _ => ("a status, or the name of an `ask`", "respond 404"),
            };
            let message = format!("`{}` does not say {needs}", answer.node);
            self.error(answer.span, message).help.push(crate::diagnostic::Help {
                text: "for example".to_owned(),
                paste: such.to_owned(),
                edit: None,
            });
        }
        let (mut at, mut host) = (None, None);
        for part in pairs {
            let (rule, span) = (part.as_rule(), self.span(&part));
            let value = part.into_inner().last().expect("`at` and `host` have a value");
            let value = self.template(value);
            let twice = if rule == Rule::at { at.replace(value).is_some() } else { host.replace(value).is_some() };
            if twice {
                self.error(span, "this is said twice");
            }
        }
        Action::Proxy { to, at, host, otherwise: None }
    }
}
