# The messages of GitLab's report, from lines `LEVEL<TAB>TEXT`.
{ print (NR > 1 ? "," : "") "{\"level\":" json($1) ",\"value\":" json($2) "}" }
