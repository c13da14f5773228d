# Completion of damonfs for fish; the program itself says what fits.
function __damonfs_complete
    set -l words (commandline -opc)
    set -l found ($words[1] __complete $words[2..-1] (commandline -ct) 2>/dev/null)
    if test (count $found) -eq 1
        switch (string split \t -- $found[1])[1]
            case FILE
                __fish_complete_path (commandline -ct)
                return
            case DIRECTORY
                __fish_complete_directories (commandline -ct)
                return
            case COMMAND
                __fish_complete_subcommand --commandline $words[(math (contains -i -- -- $words) + 1)..-1] (commandline -ct)
                return
        end
    end
    printf '%s\n' $found
end
complete -c damonfs -f -a '(__damonfs_complete)'
