-- SPDX-License-Identifier: Apache-2.0
--- Completion for bash, from the command line as lua/cli/described.lua tells it: verbs, options, choices, boards, and
-- files by the endings that an argument's name has.

-- Endings by what arguments are called, where the name does not end so itself.
local ENDINGS = { CHECKPOINT = { "pth", "pt", "bin", "safetensors", "json" } }
-- Names of arguments that are files of whatever ending, or folders.
local FILES = { FILE = true, INPUT = true, MASK = true, PRED = true, SET = true, TRUTH = true, OLD = true,
  NEW = true }
-- Options whose FILE is a checkpoint.
local CHECKPOINTS = { ["--base"] = true, ["--bank"] = true, ["--clip"] = true }

local HEAD = [[
# Completion for bash. Written by the build from the tables of options; do not edit.

# _msagen_files CURRENT [ENDING...]: folders, and files of these endings, or any where there are none of these.
_msagen_files() {
    local current=$1 ending
    shift
    compopt -o filenames 2> /dev/null
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(
        for ending; do compgen -f -X "!*.$ending" -- "$current"; done
        compgen -d -- "$current"
    )
    [ ${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
}

_msagen_folders() {
    compopt -o filenames 2> /dev/null
    mapfile -t COMPREPLY < <(compgen -d -- "$1")
}

# _msagen_words CURRENT WORDS
_msagen_words() {
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$2" -- "$1")
}

# The boards that this msagen has.
_msagen_boards() {
    "${COMP_WORDS[0]/#\~/$HOME}" boards --json 2> /dev/null | sed -n 's/^ *"name": "\([A-Za-z0-9._-]*\)",\{0,1\}$/\1/p'
}

_msagen() {
    local current=${COMP_WORDS[COMP_CWORD]} at=$COMP_CWORD verb='' word before equals=''
    COMPREPLY=()
    # --option=VALUE and NAME=VALUE are three words each.
    [ "$current" = = ] && current='' equals=1
    [ "${COMP_WORDS[at - 1]}" = = ] && at=$((at - 1)) equals=1
    before=${COMP_WORDS[at - 1]}
    case $before in -*) ;; *) [ -z "$equals" ] || before=${COMP_WORDS[at - 2]} ;; esac
    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
        case $word in
]]

-- The end of the loop that looks for the verb.
local FOUND = [[
        %s)
            verb=$word
            break ;;
        esac
    done
    case $verb in]]

local TAIL = [[
}

complete -F _msagen msagen
]]

-- Names of a closed set, of the compiler's options.
local function compiler_choices(name)
  for _, one in ipairs(require("compiler.options").list) do
    if one.option == name then
      if one.field ~= "dialect" then return one.kind.names end
      local names = {}
      for i, dialect in ipairs(require("import.dialects").all()) do names[i] = dialect.name end
      return names
    end
  end
end

-- What an argument's name says of its values: { words = list, endings = list or nil of any file, files =, folders = }
local function values_of(argument, choices)
  local found = { words = choices and table.move(choices, 1, #choices, 1, {}) or {}, endings = {} }
  for part in (argument:gsub("^%u+=", "") .. "|"):gmatch "([^|]*)|" do
    local ending = part:match "%.(%l+)$"
    if ending then found.endings[#found.endings + 1] = ending
    elseif ENDINGS[part] then table.move(ENDINGS[part], 1, #ENDINGS[part], #found.endings + 1, found.endings)
    elseif part:match "^[%l-]+$" and not choices then found.words[#found.words + 1] = part
    elseif FILES[part] then found.any = true
    elseif part:match "DIR%d?$" or part == "FOLDER" or part == "OUT" then found.folders = true
    end
  end
  return found
end

-- The commands that complete a value, as one line. @param choices a list or nil  @param name the option's, or nil of
-- what is none
local function action(argument, choices, name)
  if CHECKPOINTS[name] then argument = argument:gsub("FILE$", "CHECKPOINT") end
  local found, commands = values_of(argument, choices or name and compiler_choices(name)), {}
  if #found.words > 0 then
    commands[#commands + 1] = ('_msagen_words "$current" "%s"'):format(table.concat(found.words, " "))
  end
  if name == "--board" then commands[#commands + 1] = '_msagen_words "$current" "$(_msagen_boards)"' end
  if found.any or #found.endings > 0 then
    commands[#commands + 1] = ('_msagen_files "$current"%s'):format(
      found.any and "" or " " .. table.concat(found.endings, " "))
  elseif found.folders then
    commands[#commands + 1] = '_msagen_folders "$current"'
  end
  if #commands == 0 then return ":" end
  -- Of NAME=FILE nothing is known before the file.
  return (argument:find "^%u+=" and '[ -z "$equals" ] || ' or "") .. table.concat(commands, "; ")
end

-- Cases of one verb: its options' values, its options, its arguments.
local function put_verb(out, verb)
  local names = {}
  out[#out + 1] = ("    %s)\n        case $before in"):format(verb.name)
  for _, option in ipairs(verb.options) do
    table.move(option.names, 1, #option.names, #names + 1, names)
    if option.argument then
      out[#out + 1] = ("        %s) %s; return ;;"):format(table.concat(option.names, " | "),
        action(option.argument, option.choices, option.names[#option.names]))
    end
  end
  out[#out + 1] = "        esac"
  local arguments = { "" }
  for _, argument in ipairs(verb.arguments) do arguments[#arguments + 1] = argument.argument end
  out[#out + 1] = ("        case $current in\n        -*) _msagen_words \"$current\" \"%s\" ;;\n        *) %s ;;\n"
    .. "        esac ;;"):format(table.concat(names, " "), action(table.concat(arguments, "|")))
end

--- @param all the described command line  @return the script's text
return function(all)
  local names, options, out = {}, {}, {}
  for i, verb in ipairs(all.verbs) do names[i] = verb.name end
  for _, option in ipairs(all.options) do table.move(option.names, 1, #option.names, #options + 1, options) end
  out[1] = HEAD .. FOUND:format(table.concat(names, " | "))
  for _, verb in ipairs(all.verbs) do put_verb(out, verb) end
  out[#out + 1] = ('    *) _msagen_words "$current" "%s %s" ;;\n    esac'):format(table.concat(names, " "),
    table.concat(options, " "))
  return table.concat(out, "\n") .. "\n" .. TAIL
end
