# fish --no-config offers.fish DIRECTORY LINE...: prints each line and
# fish's candidates for its last word, with the completions in DIRECTORY.
for file in $argv[1]/*.fish
    source $file
end
for line in $argv[2..]
    echo "> $line"
    complete -C $line | string replace -r '\t.*' ''
end
true
