# SPDX-License-Identifier: MIT
# bash completion for cleave: what `cleave --complete` says.

# Has in REPLY what a word means that is written with quotes and backslashes, and may not be finished,
# in OPEN the quote that is open at its end, if there is one, and in BEFORE what stands in front of that.
_cleave_unquoted() {
  local word=$1 meant='' quote='' c i
  for ((i = 0; i < ${#word}; i++)); do
    c=${word:i:1}
    if [[ $c == '\' && $quote != "'" ]]; then
      ((++i))
      meant+=${word:i:1}
    elif [[ -n $quote ]]; then
      if [[ $c == "$quote" ]]; then quote=''; else meant+=$c; fi
    elif [[ $c == [\'\"] ]]; then
      quote=$c
      BEFORE=$meant
    else
      meant+=$c
    fi
  done
  REPLY=$meant
  OPEN=$quote
}

# Has in REPLY a word as it has to be written behind that quote, so that the shell takes it as it is.
_cleave_quoted() {
  local word=$1 quote=$2
  case $quote in
    '') printf -v REPLY %q "$word" ;;
    "'") REPLY=${word//"'"/"'\\''"} ;;
    '"')
      REPLY=${word//'\'/'\\'}
      REPLY=${REPLY//'"'/'\"'}
      REPLY=${REPLY//'$'/'\$'}
      REPLY=${REPLY//'`'/'\`'}
      ;;
  esac
}

_cleave() {
  # bash parts words at = and : too; what no blank parts is one word here.
  local raw=() i at=0 gap line=${COMP_LINE:0:COMP_POINT}
  for ((i = 0; i <= COMP_CWORD; i++)); do
    gap=${line:at}
    gap=${gap%%[! $'\t']*}
    if ((i == 0)) || [[ -n $gap ]]; then raw+=(''); fi
    ((at += ${#gap}))
    local part=${COMP_WORDS[i]}
    if ((i == COMP_CWORD)); then part=${line:at}; fi
    raw[-1]+=$part
    ((at += ${#part}))
  done
  local words=() word REPLY OPEN='' BEFORE=''
  for word in "${raw[@]:1}"; do
    _cleave_unquoted "$word"
    words+=("$REPLY")
  done
  # What the shell knows as the home is a folder's name for others.
  if [[ ${raw[-1]} == \~/* ]]; then words[-1]=$HOME${words[-1]#\~}; fi

  # What bash replaces begins behind the open quote, or behind the last = or : at which it has parted
  # the word, and has no quotes that are closed.
  local typed=${words[-1]} kept=''
  if [[ -n $OPEN ]]; then
    kept=$BEFORE
  elif [[ ${raw[-1]} == *[\'\"]* ]]; then
    COMPREPLY=()
    return
  elif [[ $COMP_WORDBREAKS == *[=:]* && $typed == *[=:]* ]]; then
    kept=${typed%"${typed##*[=:]}"}
  fi
  COMPREPLY=()
  local candidate
  while IFS= read -r candidate; do
    candidate=${candidate%%$'\t'*}
    candidate=${candidate#"$kept"}
    # Within "…" there is no way to write a ! that is always one.
    if [[ $OPEN == '"' && $candidate == *!* ]]; then continue; fi
    _cleave_quoted "$candidate" "$OPEN"
    COMPREPLY+=("$REPLY")
  done < <("$1" --complete "${words[@]}" 2>/dev/null </dev/null)
  if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[/=:] ]]; then compopt -o nospace; fi
}

complete -F _cleave cleave
