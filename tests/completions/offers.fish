# fish --no-config offers.fish FILE LINE...: prints each line, and what fish
# offers for its last word, with the completions in FILE.
source $argv[1]
for line in $argv[2..]
    echo "> $line"
    complete -C $line | string replace -r '\t.*' ''
end
true
