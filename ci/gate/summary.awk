# The outcome of a scan as Markdown, with the 50 most severe findings that count, and 50 known ones. Job summaries are limited in size.
# name: the scan; outcome: its outcome in words

BEGIN { print "**" prose(name) "**: " prose(outcome) "\n" }

$1 == "new" {
  read_finding()
  if (kind == "end-of-life" || kind == "unrecognised" || ++counted > 50) next
  if (counted == 1) print "| severity | finding | package | installed | fixed in | title |\n| --- | --- | --- | --- | --- | --- |"
  link = address(decode(url))
  name = markdown(decode(id))
  print "| " markdown(severity) " | " (link == "" ? name : "[" name "](" link ")") " | " \
    markdown(decode(package == "" ? where_() : package)) " | " markdown(decode(installed == "" ? "-" : installed)) " | " \
    markdown(decode(fixed == "" ? "-" : fixed)) " | " markdown(decode(title)) " |"
}
$1 == "known" {
  read_finding()
  if (++known <= 50) names = names (names == "" ? "" : ", ") markdown(sentence())
}
END {
  if (counted > 50) print "\nand " counted - 50 " more: see the log and the reports."
  if (counted) print ""
  if (known) print "Known from the baseline: " names (known > 50 ? " and " known - 50 " more" : "") "\n"
}
