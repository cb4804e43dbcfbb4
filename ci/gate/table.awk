# The findings as an aligned table for the log. Each line begins with text of the gate, so none of an image's can begin one.

function column(c, text) {
  text = shorten(log_text(decode(text)), c == 7 ? 80 : 60)
  cells[rows, c] = text
  if (length(text) > width[c]) width[c] = length(text)
}
function row(a, b, c, d, e, f, g) { rows++; column(1, a); column(2, b); column(3, c); column(4, d); column(5, e); column(6, f); column(7, g) }

BEGIN { row("severity", "id", "package", "installed", "fixed in", "place", "title") }
$1 == "new" || $1 == "known" {
  read_finding()
  if (kind == "end-of-life" || kind == "unrecognised") next
  row((state == "known" ? "known " : "") severity, id, package == "" ? "-" : package, installed == "" ? "-" : installed, fixed == "" ? "-" : fixed, \
    where_() == "" ? "-" : where_(), title)
}
END {
  if (rows == 1) exit
  for (r = 1; r <= rows; r++) {
    text = "|"
    for (c = 1; c <= 7; c++) {
      text = text " " cells[r, c]
      if (c < 7) for (n = length(cells[r, c]); n < width[c]; n++) text = text " "
    }
    print text
  }
}
