# SPDX-License-Identifier: GPL-2.0-or-later
#
# Completion of virtfs-mapped's command line, for bash (bash-completion loads
# it by its name).

_virtfs_mapped()
{
    local word=$2 before=$3 command=${COMP_WORDS[1]} words= prefix=
    local root=--root
    local commands='ls stat find set check pack unpack convert'

    if [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W "$commands --help --version" -- "$word"))
        return
    fi
    # "--to=ma" is three words for bash, and one where = is none of its breaks.
    case $word:$before in
    =:--*)
        word=
        ;;
    *:=)
        before=${COMP_WORDS[COMP_CWORD - 2]}
        ;;
    --*=*:*)
        before=${word%%=*}
        prefix=$before=
        word=${word#*=}
        ;;
    esac
    case $before in
    --model|--from|--to)
        words='mapped-xattr mapped-file passthrough proxy'
        COMPREPLY=($(compgen -P "$prefix" -W "$words" -- "$word"))
        return
        ;;
    --special-files)
        COMPREPLY=($(compgen -P "$prefix" -W 'host mapped' -- "$word"))
        return
        ;;
    --uid|--gid|--mode|--rdev|--owner|--uid-map|--gid-map|--threads|-uid|-gid|-mode|-name)
        COMPREPLY=()
        return
        ;;
    -type)
        COMPREPLY=($(compgen -W 'f d l p s c b' -- "$word"))
        return
        ;;
    esac
    case $command in
    ls)
        words='-l -R -d --json --threads'
        ;;
    stat)
        words=--json
        ;;
    find)
        words='--json -0 --print0 --threads -uid -gid -mode -type -name'
        if [ "$word" = '!' ]; then
            COMPREPLY=('!')
            return
        fi
        ;;
    set)
        words='--uid --gid --mode --rdev --despite-metadata'
        ;;
    check)
        words='--repair --threads --despite-metadata'
        ;;
    unpack)
        words=--despite-metadata
        root=
        ;;
    convert)
        words='--from --to --dry-run --lossy --owner --threads'
        root=
        ;;
    esac
    case $word in
    -*)
        words="$words --model $root --live --uid-map --gid-map --special-files --help"
        COMPREPLY=($(compgen -W "$words" -- "$word"))
        ;;
    *)
        compopt -o filenames 2>/dev/null
        # Names of a guest's may have blanks, and all that a shell expands.
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        ;;
    esac
}

complete -F _virtfs_mapped virtfs-mapped
