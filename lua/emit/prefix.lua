-- SPDX-License-Identifier: Apache-2.0
--- Names of what is generated under another prefix than msa, so that one program can hold several models.

local prefix = {}

--- @param name the prefix @return function(text) -> the text with this prefix in place of msa, MSA, libmsa_ and -lmsa_
function prefix.renamer(name)
  local upper = name:upper()
  return function(text)
    if name == "msa" then return text end
    text = text:gsub("%f[%w_]msa([_.])", name .. "%1"):gsub("%f[%w_]MSA_", upper .. "_")
    return (text:gsub("%f[%w_]libmsa_", "lib" .. name .. "_"):gsub("%-lmsa_", "-l" .. name .. "_"))
  end
end

--- @param name the prefix @return function(text) -> the text of a folder with this prefix as it is with msa
function prefix.plain(name)
  local upper = name:upper()
  return function(text)
    if name == "msa" then return text end
    return (text:gsub("%f[%w_]" .. name .. "([_.])", "msa%1"):gsub("%f[%w_]" .. upper .. "_", "MSA_"))
  end
end

return prefix
