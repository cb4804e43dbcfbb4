# One SARIF log. GitHub accepts several in one upload if each has a category of its own, which `automationDetails.id` is.
# name: the scan; repository: the image without tag and digest; image; digest; platform; category; client: version of the client;
# compared: the baseline, if there is one; properties: `NAME=VALUE` separated by tabs

BEGIN {
  level["CRITICAL"] = level["HIGH"] = "error"; level["MEDIUM"] = "warning"
  score["CRITICAL"] = "9.5"; score["HIGH"] = "8.0"; score["MEDIUM"] = "5.5"; score["LOW"] = "2.0"
}
# Brackets would be links.
function message(text) { return swap(swap(swap(text, "\\", "\\\\"), "[", "\\["), "]", "\\]") }
# A relative URI.
function uri(text) {
  gsub(/[^A-Za-z0-9._~\/+-]/, "_", text)
  while (sub(/\/\/+/, "/", text) || sub(/^\//, "", text) || sub(/(^|\/)\.\.?(\/|$)/, "/", text)) ;
  return text == "" ? "image" : text
}
$1 == "new" || $1 == "known" || $1 == "note" {
  read_finding()
  if (!(id in rule)) {
    rule[id] = count_of_rules++
    link = address(decode(url))
    shown = title == "" ? decode(id) : decode(title)
    rules = rules (rule[id] ? ",\n" : "") "{\"id\":" json(decode(id)) ",\"name\":" json(kind) ",\"shortDescription\":{\"text\":" json(shorten(shown, 900)) \
      "},\"fullDescription\":{\"text\":" json(shorten(description == "" ? shown : decode(description), 900)) "},\"defaultConfiguration\":{\"level\":\"" \
      (severity in level ? level[severity] : "note") "\"}," (link == "" ? "" : "\"helpUri\":" json(link) ",") "\"help\":{\"text\":" \
      json(sentence() (link == "" ? "" : "\n" link)) "},\"properties\":{\"precision\":\"very-high\"," \
      (severity in score ? "\"security-severity\":\"" score[severity] "\"," : "") "\"tags\":[\"security\"," json(kind) "," json(severity) "]}}"
  }
  text = sentence() (title == "" || state == "note" ? "" : ": " decode(title)) (fixed == "" ? "" : ". Fixed in " decode(fixed)) " (" name ")"
  file = uri(path != "" ? decode(path) : place != "" ? decode(place) : repository)
  results = results (count++ ? ",\n" : "") "{\"ruleId\":" json(decode(id)) ",\"ruleIndex\":" rule[id] ",\"level\":\"" \
    (state == "note" ? "warning" : kind == "end-of-life" || kind == "unrecognised" ? "error" : severity in level ? level[severity] : "note") "\",\"message\":{\"text\":" json(message(shorten(text, 900))) "}," \
    (state == "note" || compared == "" ? "" : "\"baselineState\":\"" (state == "known" ? "unchanged" : "new") "\",") \
    (state == "known" ? "\"suppressions\":[{\"kind\":\"external\",\"justification\":\"known from the baseline\"}]," : "") \
    "\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":" json(file) ",\"uriBaseId\":\"ROOTPATH\"},\"region\":{\"startLine\":" \
    (line ~ /^[1-9][0-9]*$/ ? line : 1) "}},\"message\":{\"text\":" json(message(shorten(where_() == "" ? name : decode(where_()), 900))) "}}]}"
}
END {
  print "{\"version\":\"2.1.0\",\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"runs\":[{"
  print "\"tool\":{\"driver\":{\"fullName\":\"Trivy Vulnerability Scanner\",\"informationUri\":\"https://github.com/aquasecurity/trivy\",\"name\":\"Trivy\",\"version\":" \
    json(client) ",\"rules\":["
  print rules
  print "]}},\"automationDetails\":{\"id\":" json(category "/") "},\"columnKind\":\"utf16CodeUnits\",\"originalUriBaseIds\":{\"ROOTPATH\":{\"uri\":\"file:///\"}},"
  printf "\"properties\":{\"imageName\":%s", json(image)
  many = split(properties, all, "\t")
  for (m = 1; m <= many; m++) printf ",%s:%s", json(substr(all[m], 1, index(all[m], "=") - 1)), json(substr(all[m], index(all[m], "=") + 1))
  print "},\"results\":["
  print results
  print "]}]}"
}
