"""Paths that have led out of other stores: dots, slashes, encodings, drives, control characters, lookalikes."""

TRAVERSALS = [
    *["", ".", "..", "/", "//", "/etc/passwd", "../x", "a/../../x", "a/..", "a/./b", "./a", "a//b", "a/", "/a"],
    *["..\\x", "a\\..\\..\\x", "\\\\host\\share", "C:\\x", "C:/x", "c:x", "file:///etc/passwd", "s3://other/x"],
    *["%2e%2e/x", "..%2fx", "..%252fx", "%00", "a%00.png", "..%c0%afx", "%2e%2e%5cx"],
    *["a\0b", "\0", "a\n", "a\r\nX: y", "\ta", " ", "a ", " a", "a b", "~", "~other/x", "$HOME/x", "`id`"],
    *["\u2025/x", "\uff0e\uff0e/x", "a\u2215b", "\uff0fetc", "..\u200b/x", "\u202ea", "é", "a\u0301", "\ud800"],
    *["....//x", "..;/x", ".../...//x", "a?b", "a#1", "a:b", "a*b", "a|b", "a<b>", 'a"b', "a'b", "a&b", "a=b"],
    *["x" * 129, "a/" * 255 + "aaa", "x" * 10_000],
]
