# One test suite per scan: a failed test per finding that counts, a skipped one per known finding or note, and a passed one without any of these.
# name: of the suite; properties: `NAME=VALUE` separated by tabs; error: why there is no verdict; skip: why there was no scan

$1 == "new" || $1 == "known" || $1 == "note" {
  read_finding()
  tests++
  heading = state == "note" || kind == "end-of-life" || kind == "unrecognised" ? kind : "[" severity "] " sentence()
  text = text "    <testcase classname=\"" xml(place == "" ? name : decode(place)) "\" name=\"" xml(heading) "\">\n"
  if (state == "new") {
    failures++
    text = text "      <failure type=\"" xml(severity) "\" message=\"" xml(decode(title)) "\">" \
      (fixed == "" ? "" : "Fixed in " xml(decode(fixed)) ". ") xml(decode(url)) "\n" xml(decode(description)) "</failure>\n"
  } else {
    skipped++
    text = text "      <skipped message=\"" xml(state == "known" ? "known from the baseline" : decode(title)) "\"/>\n"
  }
  text = text "    </testcase>\n"
}
END {
  if (error != "") text = text "    <testcase classname=\"" xml(name) "\" name=\"scan\"><error message=\"" xml(error) "\"/></testcase>\n"
  else if (skip != "") {
    skipped++
    text = text "    <testcase classname=\"" xml(name) "\" name=\"scan\"><skipped message=\"" xml(skip) "\"/></testcase>\n"
  } else if (!tests) text = text "    <testcase classname=\"" xml(name) "\" name=\"no findings\"/>\n"
  print "  <testsuite name=\"" xml(name) "\" tests=\"" tests + (error != "" || !tests) "\" failures=\"" failures + 0 "\" errors=\"" (error != "" ? 1 : 0) \
    "\" skipped=\"" skipped + 0 "\">"
  count = split(properties, all, "\t")
  if (count) print "    <properties>"
  for (c = 1; c <= count; c++)
    print "      <property name=\"" xml(substr(all[c], 1, index(all[c], "=") - 1)) "\" value=\"" xml(substr(all[c], index(all[c], "=") + 1)) "\"/>"
  if (count) print "    </properties>"
  printf "%s", text
  print "  </testsuite>"
}
