# SPDX-License-Identifier: MIT
# fish completion for cleave: what `cleave --complete` says.

function __cleave_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    # What is unfinished cannot be read, and is taken as it stands.
    set -l meant (string unescape -- $word)
    or set meant (string trim --left --chars '\'"' -- $word)
    # What the shell knows as the home is a folder's name for others.
    if string match -q '~/*' -- $word
        $words[1] --complete $words[2..] (string replace '~' $HOME -- $meant) 2>/dev/null </dev/null |
            string replace $HOME '~'
    else
        $words[1] --complete $words[2..] "$meant" 2>/dev/null </dev/null
    end
end

complete -c cleave -f -a '(__cleave_complete)'
