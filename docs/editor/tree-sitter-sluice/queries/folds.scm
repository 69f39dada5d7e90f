(block) @fold
(list) @fold
