# Completes the HTML of cmark-gfm: headings with the anchors of GitHub, a list of the
# sections of a long document, boxes that scroll around tables and pictures, line breaks
# in long names in tables, classes for the alignment of columns, and links from names
# such as svc(8) to the manual.
#
# Variables: pages, the files of the manual, and manual, the path to their directory.

BEGIN {
    number = split(pages, names)
    for (i = 1; i <= number; i++)
        known[names[i]] = 1
}

# The anchor of a heading: its text in small letters, with dashes in place of spaces,
# without other punctuation, and with a number when it is not the first of its name.
function anchor(html,    text) {
    text = html
    gsub(/<[^>]*>/, "", text)
    gsub(/&lt;|&gt;|&quot;|&amp;/, "", text)
    text = tolower(text)
    gsub(/[!-,.\/:-@\[-^`{-~]/, "", text)
    gsub(/ /, "-", text)
    return used[text]++ ? text "-" used[text] - 1 : text
}

# The text with a link at each name of a page of the manual.
function with_links(text,    done, name, page) {
    done = ""
    while (match(text, /[a-z0-9-]+\([1-9]\)/)) {
        name = substr(text, RSTART, RLENGTH)
        page = substr(name, 1, length(name) - 3) "." substr(name, length(name) - 1, 1)
        done = done substr(text, 1, RSTART - 1)
        done = done (page in known ? "<a href=\"" manual page ".html\">" name "</a>" : name)
        text = substr(text, RSTART + RLENGTH)
    }
    return done text
}

# The line with these links, except in tags, links and blocks of code.
function outside_of_tags(line,    done, end, tag) {
    done = ""
    while (line != "") {
        if (substr(line, 1, 1) == "<") {
            end = index(line, ">")
            tag = substr(line, 1, end)
            if (tag ~ /^<(a |pre)/)
                literal++
            else if (tag ~ /^<\/(a|pre)>/)
                literal--
        } else {
            end = index(line, "<") - 1
            if (end < 0)
                end = length(line)
            tag = substr(line, 1, end)
            if (!literal)
                tag = with_links(tag)
            if (done ~ /^<td.*<code>$/ && length(tag) > 24)
                gsub(/::|_/, "&<wbr>", tag)
        }
        done = done tag
        line = substr(line, end + 1)
    }
    return done
}

/^<h[1-6]>/ && !literal {
    level = substr($0, 3, 1)
    text = substr($0, 5, length($0) - 9)
    id = anchor(text)
    if (level == 2)
        contents[++sections] = "<li><a href=\"#" id "\">" text "</a></li>"
    if (text !~ /<a /)
        text = "<a class=\"permalink\" href=\"#" id "\">" text "</a>"
    lines[++count] = "<h" level " id=\"" id "\">" text "</h" level ">"
    if (level == 1 && !title)
        title = count
    next
}

{
    line = outside_of_tags($0)
    # HTML 5 has no attribute for the alignment.
    sub(/^<t[dh] align=/, substr(line, 1, 3) " class=", line)
    sub(/^<table>/, "<div class=\"wide\"><table>", line)
    sub(/^<\/table>/, "</table></div>", line)
    sub(/^<p><img /, "<p class=\"picture\"><img ", line)
    lines[++count] = line
}

END {
    for (i = 1; i <= count; i++) {
        print lines[i]
        if (i == title && sections >= 4) {
            print "<details><summary>Sections</summary>\n<ul>"
            for (j = 1; j <= sections; j++)
                print contents[j]
            print "</ul></details>"
        }
    }
}
