# Makes docs/values.md of charts/millrace/values.yaml: a row for each value that holds no others. The
# comment in front of a value is its description. Made for that file: two spaces a level, one key a
# line, comments on lines of their own.
BEGIN {
  print "# The chart's values"
  print ""
  print "Made from `charts/millrace/values.yaml` by `make values`."
  print ""
  print "| value | default | |"
  print "|---|---|---|"
}
function flush(  name, i) {
  if (!pending) return
  pending = 0
  # A map with entries below it has rows of its own.
  if (value == "" && items == "") return
  for (i = 0; i <= depth; i++) name = name (i ? "." : "") path[i]
  if (items != "") value = "[" items "]"
  gsub(/\|/, "\\|", value); gsub(/\|/, "\\|", about)
  printf "| `%s` | %s | %s |\n", name, value == "\"\"" ? "" : "`" value "`", about
}
/^ *#/ {
  flush()
  sub(/^ *# ?/, "")
  comment = comment (comment == "" ? "" : " ") $0
  next
}
/^ *- / {
  sub(/^ *- /, "")
  items = items (items == "" ? "" : ", ") "{" $0 "}"
  next
}
/^ *[A-Za-z0-9]+:/ {
  flush()
  match($0, /^ */); depth = RLENGTH / 2
  key = $0; sub(/^ */, "", key); sub(/:.*/, "", key)
  value = $0; sub(/^[^:]*: ?/, "", value)
  path[depth] = key; about = comment; comment = ""; items = ""; pending = 1
  next
}
# An empty line ends what is said of the whole file.
/^$/ { flush(); comment = "" }
END { flush() }
