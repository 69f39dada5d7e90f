//! Blocks, written out: policies first, then routes, and the wall around both.

use super::{Build, L4Entry, head_of};
use crate::check::cond::{and, not, or};
use crate::check::policy::Found;
use crate::check::route::Frame;
use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{self, Action, Arg, Body, Expr, ItemKind, Name, Share, Stmt, StmtKind};
use crate::syntax::span::{Loc, Span, Spanned};
use crate::tree::ir::{Cond, PoolIdx};
use crate::tree::l4::{Entry, Step, Target};

/// What connections have passed when they come to a place.
#[derive(Clone, Debug)]
struct Passed {
    /// The conditions of the blocks around.
    guard: Cond,
    /// The policies around, outer first.
    steps: Vec<Step>,
}

/// A block inside an item.
#[derive(Clone, Copy)]
struct Wall {
    /// Up to its block.
    head: Loc,
    /// The whole statement.
    stmt: Loc,
}

/// A route that waits until all policies of its block are known.
struct Pending<'a> {
    stmt: &'a Stmt,
    frame: Frame,
}

impl<'a> Checker<'a> {
    /// The block of an item.
    pub(super) fn item_block(&mut self, b: &mut Build, block: &'a ast::Block, frame: &Frame, head: Loc) {
        let passed = Passed { guard: Cond::Const(true), steps: Vec::new() };
        self.l4_block(b, block, passed, frame, None);
        if b.entries.is_empty() {
            self.report(lint::g1022::leads_nowhere(head, b.kind.word()));
        }
    }

    /// `tcp :5432 -> pg`
    pub(super) fn item_arrow(&mut self, b: &mut Build, action: &'a Spanned<Action>, frame: &Frame, item: Loc) {
        let passed = Passed { guard: Cond::Const(true), steps: Vec::new() };
        self.push(b, &passed, action, frame, item);
    }

    /// Writes a block out. `wall` is there for a block inside an item: what enters it and nothing in
    /// it takes is refused there.
    fn l4_block(
        &mut self,
        b: &mut Build,
        block: &'a ast::Block,
        mut passed: Passed,
        frame: &Frame,
        wall: Option<Wall>,
    ) {
        let mut inner = frame.clone();
        let mut pending = Vec::new();
        self.l4_statements(b, &block.stmts, &mut passed.steps, &mut inner, &mut pending, wall.is_none());
        self.saw_block(self.at(&frame.env, block.span), &inner.env);
        if pending.len() > 1 {
            for p in pending.iter().filter(|p| matches!(p.stmt.kind, StmtKind::Arrow(_))) {
                self.report(lint::g2024::bare(self.at(&p.frame.env, p.stmt.span)));
            }
        }
        let mut covered = false;
        for mut route in pending {
            // `let`s may stand anywhere in the block.
            if route.frame.id == inner.id {
                route.frame.env = inner.env.clone();
            }
            covered |= self.l4_route(b, &passed, &route);
        }
        if let Some(wall) = wall
            && !covered
        {
            b.entries.push(Entry { guard: passed.guard, steps: passed.steps, target: Target::Deny, loc: wall.head });
            b.info.push(L4Entry { stmt: wall.stmt, miss: true });
        }
    }

    /// Reads the statements of a block or of a policy used in it: policies are done, routes wait.
    fn l4_statements(
        &mut self,
        b: &mut Build,
        stmts: &'a [Stmt],
        steps: &mut Vec<Step>,
        frame: &mut Frame,
        pending: &mut Vec<Pending<'a>>,
        of_item: bool,
    ) {
        let mut first_route: Option<Span> = None;
        for stmt in stmts {
            let loc = self.at(&frame.env, stmt.span);
            let policy = match &stmt.kind {
                StmtKind::Use { .. } => Some("use"),
                StmtKind::Require { .. } => Some("require"),
                StmtKind::Limit(_) => Some("limit"),
                _ => None,
            };
            if let (Some(word), Some(first)) = (policy, first_route) {
                let text = if frame.env.module == 0 { self.text } else { "" };
                self.report(lint::g1020::below(loc, word, self.at(&frame.env, first), text));
            }
            match &stmt.kind {
                StmtKind::Let(l) => self.local_let(l, frame),
                StmtKind::Use { policy, args, when } => {
                    let args = args.as_deref().unwrap_or_default();
                    self.l4_use(b, steps, frame, pending, policy, args, when.as_ref(), loc);
                }
                StmtKind::Require { cond, otherwise } => {
                    let test = self.l4_cond(b.kind, cond, frame, loc);
                    if let Some(action) = otherwise {
                        self.l4_refusal(b.kind, action, frame, loc);
                    }
                    let cond = or(vec![not(frame.when.clone()), test]);
                    steps.push(Step::Require { cond, loc });
                }
                StmtKind::Limit(limit) => {
                    if !frame.when_is_true() {
                        self.report(lint::g1022::conditional(loc, "limit"));
                    } else if let Some(limit) = self.l4_limit(b.kind, limit, frame, loc) {
                        steps.push(Step::Limit(limit));
                    }
                }
                StmtKind::When { .. } => {
                    first_route.get_or_insert(stmt.span);
                    pending.push(Pending { stmt, frame: frame.clone() });
                }
                StmtKind::Else(_) | StmtKind::Arrow(_) => {
                    first_route.get_or_insert(stmt.span);
                    if frame.tags.is_empty() {
                        pending.push(Pending { stmt, frame: frame.clone() });
                    } else {
                        let what = if matches!(stmt.kind, StmtKind::Else(_)) { "else" } else { "a bare arrow" };
                        self.report(lint::g2023::pathless(loc, what));
                    }
                }
                StmtKind::Tls { words, body } => {
                    let head = self.at(&frame.env, Span { end: stmt.span.start + 3, ..stmt.span });
                    if of_item && frame.tags.is_empty() {
                        self.l4_tls(b, words, body.as_ref(), head, loc);
                    } else {
                        self.report(lint::g1022::item_only(head, "tls", b.kind.word()));
                    }
                }
                StmtKind::Setting { head, words, body: _ } => {
                    self.l4_setting(b, head, words, frame, of_item, loc);
                }
                StmtKind::Header(_) => self.l4_http(b, frame, "a header statement", loc),
                StmtKind::Route { .. } => self.l4_http(b, frame, "a path", loc),
                StmtKind::Catch { .. } => self.l4_http(b, frame, "`catch`", loc),
                StmtKind::Session { .. } => self.l4_http(b, frame, "a session", loc),
                StmtKind::Endpoint(_) => self.report(lint::g1022::endpoint(loc)),
                StmtKind::Row { .. } => self.report(lint::g1022::row(loc)),
            }
        }
    }

    /// A statement that needs HTTP: said at the `use` where a policy brought it.
    pub(super) fn l4_http(&mut self, b: &Build, frame: &Frame, what: &str, loc: Loc) {
        match &frame.used {
            Some((name, at)) => self.report(lint::g1022::http_in_policy(*at, name, what, b.kind.word(), loc)),
            None => self.report(lint::g1022::http_here(loc, what, b.kind.word())),
        }
    }

    /// `use policy(args) [when cond]`
    #[expect(clippy::too_many_arguments, reason = "the parts of one statement and where it stands")]
    fn l4_use(
        &mut self,
        b: &mut Build,
        steps: &mut Vec<Step>,
        frame: &Frame,
        pending: &mut Vec<Pending<'a>>,
        policy: &'a Spanned<Name>,
        args: &'a [Arg],
        when: Option<&'a Spanned<Expr>>,
        loc: Loc,
    ) {
        let name = Self::name_text(&policy.node);
        let name_loc = self.at(&frame.env, policy.span);
        let cond = match when {
            Some(when) => self.l4_cond(b.kind, when, frame, loc),
            None => Cond::Const(true),
        };
        let (module, item) = match self.find_policy(&policy.node, frame.env.module, name_loc) {
            Found::Policy(module, item) => {
                self.saw_item(&policy.node.parts, frame.env.module, module, item, None);
                (module, item)
            }
            Found::Nothing => return,
        };
        if frame.stack.contains(&(module, item)) {
            return self.report(lint::g1019::recursive(name_loc, "policy", &name));
        }
        let linked = self.linked;
        let ItemKind::Policy(def) = &linked.item(module, item).kind else { return };
        b.frames += 1;
        let mut inner = Frame {
            env: Env::top(module),
            id: b.frames,
            tags: frame.tags.iter().copied().chain([b.frames as usize]).collect(),
            used: frame.used.clone().or(Some((name.clone(), loc))),
            when: and(vec![frame.when.clone(), cond]),
            stack: frame.stack.iter().copied().chain([(module, item)]).collect(),
        };
        inner.env = self.bind_params(def, module, &name, args, &frame.env, loc);
        self.l4_statements(b, &def.body.stmts, steps, &mut inner, pending, false);
    }

    /// One route; whether it takes everything that comes to it.
    fn l4_route(&mut self, b: &mut Build, passed: &Passed, route: &Pending<'a>) -> bool {
        let frame = &route.frame;
        let stmt = self.at(&frame.env, route.stmt.span);
        let (guard, body) = match &route.stmt.kind {
            StmtKind::When { cond, body } => {
                let cond = self.l4_cond(b.kind, cond, frame, stmt);
                (and(vec![frame.when.clone(), cond]), body)
            }
            StmtKind::Else(body) => (Cond::Const(true), body),
            StmtKind::Arrow(action) => {
                self.push(b, passed, action, frame, stmt);
                return true;
            }
            // Read in the first pass.
            _ => return false,
        };
        let covers = guard == Cond::Const(true);
        let guard = and(vec![passed.guard.clone(), guard]);
        let passed = Passed { guard, steps: passed.steps.clone() };
        match body {
            Body::Action(action) => self.push(b, &passed, action, frame, stmt),
            Body::Block(block) => {
                // Inside a route's block, its policy's condition holds already.
                let mut inner = Frame { when: Cond::Const(true), ..frame.clone() };
                if !frame.tags.is_empty() {
                    // A block of a policy's route is a block like any other.
                    inner.tags = Vec::new();
                    b.frames += 1;
                    inner.id = b.frames;
                }
                let head = self.l4_trim(head_of(stmt, block.span));
                self.l4_block(b, block, passed, &inner, Some(Wall { head, stmt }));
            }
        }
        covers
    }

    /// Spaces before a block are no part of its head.
    fn l4_trim(&self, head: Loc) -> Loc {
        if head.file != self.linked.modules[0].file {
            return head;
        }
        let Some(text) = self.text.get(head.span.range()) else { return head };
        let end = head.span.start + u32::try_from(text.trim_end().len()).unwrap_or(0);
        Loc { span: Span { end, ..head.span }, ..head }
    }

    fn push(&mut self, b: &mut Build, passed: &Passed, action: &'a Spanned<Action>, frame: &Frame, stmt: Loc) {
        // Where it leads nowhere it was reported; it takes its connections all the same.
        let target = self.l4_target(b, action, frame).unwrap_or(Target::Deny);
        b.entries.push(Entry { guard: passed.guard.clone(), steps: passed.steps.clone(), target, loc: stmt });
        b.info.push(L4Entry { stmt, miss: false });
    }

    /// What stands behind an arrow.
    fn l4_target(&mut self, b: &mut Build, action: &'a Spanned<Action>, frame: &Frame) -> Option<Target> {
        let env = &frame.env;
        match &action.node {
            Action::Proxy { to, at, host, otherwise } => {
                if let Some(otherwise) = otherwise {
                    self.report(lint::g1022::else_of_pool(self.at(env, otherwise.span)));
                }
                for (what, part) in [("`at`", at), ("`host`", host)] {
                    if let Some(part) = part {
                        let at = self.at(env, part.span);
                        self.l4_http(b, frame, what, at);
                    }
                }
                let loc = self.at(env, to.span);
                match &to.node {
                    Expr::Url(t) => {
                        let holes = self.template_val(t, Ty::Url, env);
                        self.report(lint::g3009::url(loc, matches!(holes, Val::Template(..))));
                        None
                    }
                    _ => {
                        let val = self.eval(to, env, Some(&Ty::Pool));
                        let pool = self.expect_pool(&val, loc)?;
                        Some(Target::Pool(self.l4_pool(b, pool, loc)?))
                    }
                }
            }
            Action::Split { shares, by } => self.l4_split(b, shares, by.as_ref(), frame, self.at(env, action.span)),
            Action::Deny { .. }
            | Action::Redirect { .. }
            | Action::Respond { .. }
            | Action::Relay { .. }
            | Action::Visit { .. }
            | Action::Files { .. } => {
                self.l4_refusal(b.kind, action, frame, self.at(env, action.span));
                Some(Target::Deny)
            }
        }
    }

    /// `deny`, which is the only answer that a connection can be given.
    fn l4_refusal(&mut self, kind: super::Kind, action: &Spanned<Action>, frame: &Frame, stmt: Loc) {
        let loc = self.at(&frame.env, action.span);
        let word = match &action.node {
            Action::Deny { status: None } => return,
            Action::Deny { status: Some(status) } => {
                // A policy is written for requests too.
                if frame.used.is_none() {
                    let at = self.at(&frame.env, status.span);
                    self.report(lint::g1022::status_of_connection(at, loc));
                }
                return;
            }
            Action::Visit { does, .. } => does.word(),
            Action::Redirect { .. } => "redirect",
            Action::Respond { .. } | Action::Relay { .. } => "respond",
            Action::Files { .. } => "files",
            Action::Split { .. } | Action::Proxy { .. } => {
                return self.report(lint::g1022::only_deny(loc));
            }
        };
        match &frame.used {
            Some((name, at)) => {
                self.report(lint::g1022::http_in_policy(*at, name, &format!("`{word}`"), kind.word(), stmt));
            }
            None => self.report(lint::g1022::answer_here(loc, word, kind.word())),
        }
    }

    /// `95% a, 5% b by KEY`
    fn l4_split(
        &mut self,
        b: &mut Build,
        shares: &'a [Share],
        by: Option<&'a ast::Operand>,
        frame: &Frame,
        loc: Loc,
    ) -> Option<Target> {
        let env = &frame.env;
        let total: u64 = shares.iter().map(|s| u64::from(s.basis_points.node)).sum();
        let mut sound = true;
        if total != 10_000 {
            let first = shares.first().map_or(loc, |s| self.at(env, s.basis_points.span));
            let last = shares.last().map_or(loc, |s| self.at(env, s.pool.span));
            self.report(lint::g2009::total(Loc { span: first.span.to(last.span), ..first }, total));
            sound = false;
        }
        let mut out = Vec::new();
        for share in shares {
            let at = self.at(env, share.pool.span);
            let pool = self.pool_name(&share.pool, env).and_then(|p| self.l4_pool(b, p, at));
            match pool {
                Some(pool) => out.push((share.basis_points.node, pool)),
                None => sound = false,
            }
        }
        let by = match by {
            None => {
                self.report(lint::g2010::connections(loc));
                None
            }
            Some(operand) => {
                let key = self.l4_key(b.kind, operand, frame);
                sound &= key.is_some();
                key
            }
        };
        sound.then_some(Target::Split { shares: out, by, salt: b.salt })
    }

    /// The number of a pool in the item at hand. What a pool says about its connections must make sense
    /// for these.
    fn l4_pool(&mut self, b: &mut Build, (module, item): (usize, usize), loc: Loc) -> Option<PoolIdx> {
        let pool = self.pool(module, item)?;
        self.pool_fits(b.kind, &pool, (module, item), loc);
        Some(b.pool(module, item, pool))
    }
}
