// The words and brackets of route files, for colours, folding and indentation. What they mean is
// left to `sluice lsp`. A statement is a line: a newline ends it, save inside brackets.
const keywords = require("./keywords.js");

// A word has one kind here: the first that claims it.
const claimed = new Set();
const kind = (name) => {
  const own = keywords[name].filter((word) => !claimed.has(word));
  own.forEach((word) => claimed.add(word));
  return choice(...own);
};

const items = kind("items");
const statements = kind("statements");
// What follows `matches` is a regular expression, and `true` and `false` are values.
["matches", "true", "false"].forEach((word) => claimed.add(word));
const operators = kind("operators");
const answers = kind("answers");
const clauses = kind("clauses");
const lines = kind("lines");
const functions = kind("functions");
const parts = kind("parts");
const methods = kind("methods");
const settings = kind("settings");

module.exports = grammar({
  name: "sluice",

  extras: ($) => [/[ \t\r\uFEFF]/, $.doc_comment, $.comment],

  word: ($) => $.identifier,

  rules: {
    source_file: ($) => repeat(choice($.statement, $._newline)),

    _newline: (_) => /\n/,

    statement: ($) => prec.right(repeat1($._part)),

    block: ($) => seq("{", repeat(choice($.statement, $._newline)), "}"),

    list: ($) => seq("[", repeat(choice($._part, $._newline)), "]"),

    group: ($) => seq("(", repeat(choice($._part, $._newline)), ")"),

    _part: ($) =>
      choice(
        $.item_keyword,
        $.statement_keyword,
        $.operator,
        $.match,
        $.answer,
        $.clause,
        $.line_keyword,
        $.function,
        $.part,
        $.method,
        $.setting,
        $.boolean,
        $.identifier,
        $.block,
        $.list,
        $.group,
        $.string,
        $.path,
        $.url,
        $.socket,
        $.address,
        $.port,
        $.number,
        $.capture,
        $.star,
        $.arrow,
        $.comparison,
        "=",
        "-",
        ",",
        ".",
        ":",
        "?",
      ),

    item_keyword: (_) => items,
    statement_keyword: (_) => statements,
    operator: (_) => operators,
    match: ($) => seq("matches", $.regex),
    answer: (_) => answers,
    clause: (_) => clauses,
    line_keyword: (_) => lines,
    function: (_) => functions,
    part: (_) => parts,
    method: (_) => methods,
    setting: (_) => settings,
    boolean: (_) => choice("true", "false"),

    identifier: (_) => /[A-Za-z_][A-Za-z0-9_]*(-[A-Za-z0-9_]+)*/,

    string: ($) =>
      seq(
        '"',
        repeat(choice(token.immediate(prec(1, /[^"\\{\n]+/)), $.escape, $.hole, token.immediate("{"))),
        token.immediate('"'),
      ),
    escape: (_) => token.immediate(/\\[^\n]/),
    hole: (_) => token.immediate(prec(2, /\{[A-Za-z_][^{}\n"]*("[^"\n]*"[^{}\n"]*)*\}/)),
    regex: (_) => /"[^"\n]*"/,

    path: ($) => seq(/\.{0,2}\//, repeat(choice(token.immediate(/[A-Za-z0-9\-._~!$&+=:@%*\/?]+/), $.hole))),
    url: ($) => seq(/https?:\/\//, repeat(choice(token.immediate(/[^\s,{}\]()"]+/), $.hole))),
    socket: (_) => /unix:[^\s,\]]+/,
    capture: (_) => /\{[A-Za-z_][A-Za-z0-9_.-]*(:("[^"\n]*"|[A-Za-z0-9_.~|-]+))?\}/,
    star: (_) => /\*{1,2}/,

    address: (_) => /[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*(\/[0-9]+)?/,
    port: (_) => /:[0-9]+(\/quic)?/,
    number: (_) => /-?[0-9][0-9A-Za-z.:%\/_-]*/,

    arrow: (_) => "->",
    comparison: (_) => choice("<=", ">=", "<", ">"),

    doc_comment: (_) => token(prec(1, /##[^\n]*/)),
    comment: (_) => token(/#[^\n]*/),
  },
});
