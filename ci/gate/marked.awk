# Prints the image's findings by severity, then those that the baseline has as well as `known`, then the notes, and writes their numbers as facts.
# end_of_life, unrecognised: `new` to report such an image as a finding, `note` to report it, nothing to ignore it

# Called for each finding of the baseline, and then for each of the image.
function found() {
  if (!in_image) {
    in_baseline[identity()] = 1
    return
  }
  # A part of a baseline is no baseline.
  add(baseline_is_complete && identity() in in_baseline ? "known" : "new")
}

function add(state) {
  counted += state == "new"
  known += state == "known"
  notes += state == "note"
  if (state == "new") number[severity]++
  group[++count] = state == "note" ? state : state " " severity
  all[count] = state OFS kind OFS severity OFS id OFS package OFS installed OFS fixed OFS place OFS path OFS line OFS title OFS url OFS description OFS references
}

# Adds what Trivy has no finding for.
function add_note(state, name, text) {
  kind = id = name
  severity = "UNKNOWN"
  title = text
  package = installed = fixed = place = path = line = url = description = references = ""
  add(state)
  notices = notices (notices == "" ? "" : "; ") title
}

function print_findings() {
  if (eosl == "true" && end_of_life != "")
    add_note(end_of_life, "end-of-life", os " is end of life: it receives no security updates and no advisories any more, so vulnerabilities may be missing")
  if (!packages && unrecognised != "")
    add_note(unrecognised, "unrecognised", "Trivy finds no packages in this image" (os == "" ? "" : " of " os) ", so it cannot find vulnerabilities")
  many = split("CRITICAL HIGH MEDIUM LOW UNKNOWN", severities, " ")
  for (s = 1; s <= many; s++) print_group("new " severities[s])
  for (s = 1; s <= many; s++) print_group("known " severities[s])
  print_group("note")
  for (s = 1; s <= many; s++)
    if (number[severities[s]]) counts = counts (counts == "" ? "" : ", ") number[severities[s]] " " severities[s]
  fact("counted", counted + 0)
  fact("known", known + 0)
  fact("notes", notes + 0)
  fact("notices", notices)
  fact("counts", counts)
}
function print_group(wanted,  c) { for (c = 1; c <= count; c++) if (group[c] == wanted) print all[c] }
