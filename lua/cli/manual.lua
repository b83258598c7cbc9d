-- SPDX-License-Identifier: Apache-2.0
--- The manual page msagen(1), for troff's man macros, from the command line as lua/cli/described.lua tells it.

local TROFF = { ["\\"] = "\\e", ["'"] = "\\(aq", ["`"] = "\\(ga", ["^"] = "\\(ha", ["~"] = "\\(ti", ["-"] = "\\-" }

-- A text as troff prints it: its own characters, and hyphens that can be searched for.
local function escaped(text)
  return (text:gsub("[\\'`^~-]", TROFF))
end

-- An argument of a macro.
local function quoted(text) return '"' .. escaped(text):gsub('"', "\\(dq") .. '"' end

-- A paragraph: no line begins with what troff takes for a request. @param text escaped
local function paragraph(text) return (text:gsub("%s+", " "):gsub("^%.", "\\&."):gsub("^'", "\\&'")) end

-- Names in bold, the value in italics.
local function heading(option)
  local names = {}
  for i, name in ipairs(option.names) do names[i] = "\\fB" .. escaped(name) .. "\\fR" end
  return table.concat(names, ", ") .. (option.argument and " \\fI" .. escaped(option.argument) .. "\\fR" or "")
end

local function described(option)
  local text = option.text
  if option.choices then text = text .. (" One of %s."):format(table.concat(option.choices, ", ")) end
  if option.default and not text:find "[Dd]efault" then text = text .. (" Default: %s."):format(option.default) end
  if option.needed then text = text .. " Required." end
  if option.repeated and not text:find "repeated" then text = text .. " May be repeated." end
  return text
end

local function put_options(out, options)
  for _, option in ipairs(options) do
    out[#out + 1] = ".TP\n" .. heading(option) .. "\n" .. paragraph(escaped(described(option)))
  end
end

local function put_verb(out, verb)
  out[#out + 1] = ".SS " .. quoted("msagen " .. verb.name)
  out[#out + 1] = paragraph(escaped(verb.text)) .. "\n.PP\n" .. paragraph(escaped(verb.usage))
  for _, argument in ipairs(verb.arguments) do
    out[#out + 1] = ".TP\n\\fI" .. escaped(argument.argument) .. "\\fR" .. (argument.several and " ..." or "") .. "\n"
      .. paragraph(escaped(argument.text))
  end
  put_options(out, verb.options)
end

local ENVIRONMENT = {
  { "COLUMNS", "Columns that answers may have, instead of the terminal's; 80 where neither tells." },
  { "NO_COLOR", "If it is not empty, nothing is in colour; nor is it where TERM is dumb or output is no terminal." },
  { "TMPDIR", "Where temporary folders are made; /tmp unless set." },
  { "MSAGEN_DATADIR", "The folder that has lua, templates, runtime and boards, instead of the installed one." },
  { "MSAGEN_TRACE", "If it is set, an internal error is shown with a trace of calls." },
}

local function put_terms(out, terms)
  for _, term in ipairs(terms) do
    out[#out + 1] = ".TP\n\\fB" .. escaped(term[1]) .. "\\fR\n" .. paragraph(escaped(term[2]))
  end
end

--- @param all the described command line  @return the page's text
return function(all)
  local version, doc = msagen.version, "the folder doc/msagen beside the installed data, or docs/ in the sources"
  local out = { '.\\" Written by the build from the tables of options; do not edit.',
    (".TH MSAGEN 1 \"\" %s \"User Commands\""):format(quoted("msagen " .. version)), ".SH NAME",
    "msagen \\- " .. escaped((all.text:gsub("^%u", string.lower):gsub("%.$", ""))), ".SH SYNOPSIS",
    ".B msagen\n.I VERB\n[\\fIOPTION\\fR ...] [\\fIARGUMENT\\fR ...]", ".SH DESCRIPTION",
    paragraph(escaped("msagen takes a trained Medical SAM Adapter checkpoint, a promptable segmentation network for "
      .. "medical images, and writes plain C99 for one device. It is no medical device, and compiling a network does "
      .. "not validate it.")) }
  out[#out + 1] = ".SH OPTIONS"
  put_options(out, all.options)
  out[#out + 1] = ".SH COMMANDS"
  for _, verb in ipairs(all.verbs) do put_verb(out, verb) end
  out[#out + 1] = ".SH ENVIRONMENT"
  put_terms(out, ENVIRONMENT)
  out[#out + 1] = ".SH EXIT STATUS"
  put_terms(out, { { "0", "What was asked for was done." }, { "1", "It could not be done; a line on standard error "
    .. "says why, and nothing was written." }, { "2", "The command line was wrong, and nothing was tried." },
    { "3", "Of msagen diff: the two differ." } })
  out[#out + 1] = ".SH SEE ALSO\n" .. paragraph(escaped("README.md and usage.md in " .. doc .. "."))
  return table.concat(out, "\n") .. "\n"
end
