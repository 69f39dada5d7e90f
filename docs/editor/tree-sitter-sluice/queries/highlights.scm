(doc_comment) @comment.documentation
(comment) @comment

(item_keyword) @keyword
(statement_keyword) @keyword
(clause) @keyword
(operator) @keyword.operator
(match "matches" @keyword.operator)
(answer) @function.builtin
(function) @function.builtin
(line_keyword) @keyword
(setting) @property
(part) @variable.builtin
(method) @constant.builtin
(boolean) @boolean

(string) @string
(escape) @string.escape
(regex) @string.regexp
(path) @string.special.path
(url) @string.special.url
(socket) @string.special.path
(hole) @variable.parameter
(capture) @variable.parameter
(star) @operator

(number) @number
(address) @number
(port) @number

(arrow) @operator
(comparison) @operator
"=" @operator
"," @punctuation.delimiter
"." @punctuation.delimiter
":" @punctuation.delimiter
["{" "}" "[" "]" "(" ")"] @punctuation.bracket

(identifier) @variable
