# The elements of `vulnerabilities` in GitLab's report for container scanning. GitLab compares the report with that of the target branch itself,
# so known findings are in it as well. It tracks a finding by its location: `default_branch_image` gives that a name without a version.
# count: the elements before these; name: the scan; repository: the image without tag and digest; image: the image; os: its operating system

BEGIN {
  word["CRITICAL"] = "Critical"; word["HIGH"] = "High"; word["MEDIUM"] = "Medium"; word["LOW"] = "Low"
}
$1 == "new" || $1 == "known" {
  read_finding()
  copy = identity()
  copies = ++seen[copy]
  gsub(/\001/, "|", copy)
  print (count++ ? "," : "") "{\"id\":" json(repository "|" decode(copy) (copies > 1 ? "|" copies : "")) ","
  print "\"name\":" json(shorten(decode(title == "" ? id : title), 240)) ","
  print "\"description\":" json(shorten(decode(description), 1000000)) ","
  print "\"severity\":\"" (severity in word ? word[severity] : "Unknown") "\","
  print "\"solution\":" json(shorten(fixed == "" ? "No fixed version is available" : "Upgrade " decode(package) " to " decode(fixed), 6900)) ","
  link = address(decode(url))
  print "\"identifiers\":[{\"type\":" json(kind == "vulnerability" ? decode(link_type()) : kind) ",\"name\":" json(decode(id)) ",\"value\":" json(decode(id)) \
    (link == "" ? "" : ",\"url\":" json(link)) "}],"
  links = ""
  many = split(references, all, / /)
  for (m = 1; m <= many; m++) if (address(decode(all[m])) != "") links = links (links == "" ? "" : ",") "{\"url\":" json(decode(all[m])) "}"
  print "\"links\":[" links "],"
  if (state == "known") print "\"details\":{\"baseline\":{\"type\":\"text\",\"name\":\"Baseline\",\"value\":\"known from the baseline\"}},"
  print "\"location\":{\"dependency\":{\"package\":{\"name\":" json(decode(package != "" ? package : where_() != "" ? where_() : id)) "},\"version\":" \
    json(decode(installed == "" ? "unknown" : installed)) "},\"operating_system\":" json(os == "" ? "unknown" : os) ",\"image\":" json(image) \
    ",\"default_branch_image\":" json(substr(default_image, 1, 255)) "}}"
}
