#compdef cleave
# SPDX-License-Identifier: MIT
# zsh completion for cleave: what `cleave --complete` says.

# What the shell knows as the home is a folder's name for others.
local home=''
local -a typed literally
typed=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
if [[ $PREFIX == '~/'* ]]; then
  home=$HOME
  typed[-1]=$home${typed[-1]#'~'}
fi

local line word
local -a ending going_on shown_ending shown_going_on lines_of_their_own
for line in "${(@f)$("${(Q)words[1]}" --complete "$typed[@]" 2>/dev/null </dev/null)}"; do
  word=${line%%$'\t'*}
  [[ -n $word ]] || continue
  [[ -n $home ]] && word=\~${(q)word#$home}
  if [[ $line == *$'\t'* ]]; then
    line="$word  -- ${line#*$'\t'}"
    lines_of_their_own=(-l)
  fi
  if [[ $word == *[/=:] ]]; then
    going_on+=("$word") shown_going_on+=("$line")
  else
    ending+=("$word") shown_ending+=("$line")
  fi
done
[[ -n $home ]] && literally=(-Q)
(($#ending)) && compadd $literally $lines_of_their_own -d shown_ending -- "$ending[@]"
# No blank follows what goes on.
(($#going_on)) && compadd $literally $lines_of_their_own -S '' -d shown_going_on -- "$going_on[@]"
