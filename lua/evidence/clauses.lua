-- SPDX-License-Identifier: Apache-2.0
--- What standards and guidance ask of the record of a software unit in a medical device, in our own words, and which
-- checks and facts of a bundle answer. Clauses are named by number; their text is what counts.
--   clause, asks   where it is asked, and what
--   checks         beginnings of the ids of checks
--   facts          names of evidence.record_facts
--   left           what of it stays with the maker

local function row(clause, asks, answer)
  return { clause = clause, asks = asks, checks = answer.checks or {}, facts = answer.facts or {}, left = answer.left }
end

local clauses = {}

--- Standards and guidance: a list of { name, id, rows = list of { clause, asks, checks, facts, left } }.
clauses.standards = {
  { name = "IEC 62304:2006 with amendment 1:2015, class C", id = "iec-62304", rows = {
    row("5.1.1 c", "Requirements, implementation, tests and risk controls are traced to each other.",
      { checks = { "TRC" }, left = "tracing the device's requirements and risk controls to the requirements here" }),
    row("5.1.4", "Standards, methods and tools of the development are named.", { checks = { "SBM" },
      facts = { "compiler" }, left = "the plan itself, and why these tools are fit" }),
    row("5.1.12", "Defects that the programming technology tends to bring in are looked for.", { checks = { "STA-04",
      "MEM" }, left = "review of the records of deviation" }),
    row("5.2.2, 5.2.6", "Requirements of the software are written down and can be verified.", { facts = {
      "requirements" }, left = "requirements of the device's own software" }),
    row("5.3.1, 5.3.2", "The architecture shows the items of the software and their interfaces.", { facts = {
      "architecture", "interface" }, left = "the architecture of the product around this item" }),
    row("5.3.3, 5.3.4", "What software of unknown provenance must do, and what it needs, is known.", { checks = { "MEM",
      "SBM" }, left = "the C library's functions that are named, and the operating system, if there is one" }),
    row("5.3.5", "Items that risk control needs apart are segregated.", { facts = { "guards" },
      left = "segregation by the hardware: memory protection, cores, partitions" }),
    row("5.4.1, 5.4.2", "The items are divided into units, each with a detailed design.", { checks = { "TRC" },
      facts = { "units" }, left = "acceptance of this as the design" }),
    row("5.4.3, 5.4.4", "Interfaces of units are designed, and the design is verified.", { checks = { "TRC", "STA-01" },
      facts = { "interface" }, left = "review of the design" }),
    row("5.5.1", "The units are implemented.", { checks = { "INT", "TEN" } }),
    row("5.5.2", "There is a process of verifying units.", { facts = { "checks" },
      left = "its place in the maker's process, and the people" }),
    row("5.5.3", "Units are accepted by criteria, coding standards among them.", { checks = { "DIG", "STA-04", "TRC" },
      left = "setting the criteria" }),
    row("5.5.4 a", "Proper sequence of events.", { facts = { "sequence" },
      left = "the sequence of calls in the product" }),
    row("5.5.4 b", "Data flow and control flow.", { checks = { "TRC", "STA-01", "STA-02", "COV" } }),
    row("5.5.4 c", "Planned allocation of resources.", { checks = { "STA-01", "STA-03", "STA-05" },
      facts = { "resources" }, left = "time on the board, and stack of interrupts and hooks" }),
    row("5.5.4 d", "Handling of faults: definition, isolation, recovery.", {
      facts = { "statuses" }, left = "what the product does on each status" }),
    row("5.5.4 e", "Initialisation of variables.", { facts = { "statics" },
      left = "start-up code, if it is not the folder's; reads of memory before it is written" }),
    row("5.5.4 f", "Self-diagnostics.", { facts = { "answers", "segments" },
      left = "when the self-test is called; tests of ROM, RAM and processor" }),
    row("5.5.4 g", "Management of memory and overflow of memory.", { checks = { "MEM", "STA-01" },
      facts = { "buffers" }, left = "placing arena, stack and weights in the memory map" }),
    row("5.5.4 h", "Boundary conditions.", { facts = { "limits" },
      left = "limits of the device's inputs" }),
    row("5.5.5", "Units are verified, and the results are recorded.", { facts = { "checks" },
      left = "signature and date" }),
    row("5.6, 5.7", "Integration and system tests, regression tests.", { checks = { "DIG" },
      left = "tests on the device's hardware, of the whole system" }),
    row("5.8.4, 5.8.5", "The released version, and how it was made, are documented.", { checks = { "INT", "SBM" },
      left = "release, archive, delivery" }),
    row("7.1.2, 7.1.3", "Causes of hazardous situations are looked for in software and in published anomalies.", {
      facts = { "statuses" }, left = "the analysis; anomaly lists of compiler and C library" }),
    row("7.2, 7.3", "Risk controls in software are defined and verified.", { facts = { "answers",
      "segments", "statuses", "guards" }, left = "which of them the risk management relies on" }),
    row("7.4, 8.2", "Changes are analysed for safety, controlled and traced.", { facts = { "change" },
      left = "the analysis, approval" }),
    row("8.1.1, 8.1.3", "Configuration items have a scheme of identification.", { checks = { "INT", "TEN" },
      facts = { "identity" }, left = "configuration management" }),
    row("8.1.2", "Software of unknown provenance is listed with maker and version.", { checks = { "SBM" },
      left = "evaluation of each" }),
  } },
  { name = "ISO 14971:2019", id = "iso-14971", rows = {
    row("5.3, 5.4", "Characteristics related to safety, and hazards, are identified.", {
      left = "intended use, misuse, hazards: a wrong mask, a late one, none" }),
    row("7.1, 7.2", "Risk controls are chosen, implemented, and shown to work.", { facts = {
      "answers", "segments", "statuses" }, left = "choice of controls; their effect in the device" }),
    row("7.3 to 7.6, 8", "Residual risk, benefit, new risks of controls, completeness.", {
      left = "all of it" }),
    row("10", "Production and what follows is watched.", { facts = { "change" }, left = "all else" }),
  } },
  { name = "FDA, Content of Premarket Submissions for Device Software Functions (2023)", id = "fda-content", rows = {
    row("Documentation level", "Basic or enhanced, with the reason.", { left = "the evaluation" }),
    row("Software description", "What the software is, what goes in and comes out.", { facts = { "identity",
      "interface" }, left = "the device around it" }),
    row("Risk management file", "Plan, assessment, report.", { facts = { "statuses" }, left = "the file" }),
    row("Requirements, architecture, design", "Specifications, traced to each other.", { checks = { "TRC" }, facts = {
      "requirements", "architecture", "units" }, left = "those of the device" }),
    row("Development and maintenance", "Practices, configuration management.", { checks = { "INT", "SBM" },
      left = "the practices" }),
    row("Testing", "Protocols and reports of unit, integration and system tests.", { checks = { "DIG", "NUM", "STA",
      "MEM", "COV" }, left = "integration and system; validation with clinical data" }),
    row("Version history", "Each version tested, and what changed.", { facts = { "change" }, left = "the history" }),
    row("Unresolved anomalies", "Each with its effect on safety.", { left = "the list" }),
  } },
  { name = "FDA, Cybersecurity in Medical Devices: content of premarket submissions", id = "fda-cyber", rows = {
    row("Bill of materials", "Components of software, readable by machines.", { checks = { "SBM" },
      left = "support, known vulnerabilities, the rest of the product" }),
  } },
  { name = "FDA, Predetermined Change Control Plan for AI-enabled device software functions", id = "fda-pccp", rows = {
    row("Description of modifications", "What may change, and what stays.", { facts = { "change" },
      left = "the modifications" }),
    row("Modification protocol", "Data, training, evaluation, update.", { checks = { "TEN", "SBM" }, facts = {
      "training" }, left = "locked test set, performance criteria, procedure of update" }),
    row("Impact assessment", "Benefits and risks of each modification.", { facts = { "change" },
      left = "the assessment" }),
  } },
}

--- What only the maker can supply.
clauses.maker = {
  "Intended use, users, patients, and the claim that a segmentation of this kind serves it.",
  "Software safety class and its reason; documentation level. Class C is assumed here as the strictest.",
  "Risk management file: hazards, risks, controls, residual risk, benefit.",
  "Requirements of the device and of its other software, traced to the requirements of this record.",
  "Clinical validation: representative images, reference masks, criteria, results, subgroups. `msagen evaluate` "
    .. "computes metrics; the data and the criteria are the maker's.",
  "Provenance and rights of the training data, if the checkpoint's metadata has only their hash.",
  "Integration of hardware and software: the digest, the self-test and each status on the real board.",
  "Time of encode and segment on the real board, with its caches, memories and interrupts, against the deadline.",
  "Stack of interrupts, of the operating system, of hooks, beside the stack that is measured here.",
  "Tests of ROM, RAM, processor and clock; watchdog; power supply; what happens when the power fails.",
  "Qualification of the board's compiler, linker and C library, and evaluation of msagen as a tool for the purpose.",
  "Evaluation of software of unknown provenance, with its anomaly lists.",
  "Usability: how the mask is shown, corrected and confirmed by a person.",
  "Cybersecurity of the product: who may write weights and program, how updates are signed.",
  "Configuration management, problem resolution, list of residual anomalies, maintenance plan.",
  "Review of this record, of deviations from MISRA C, and of what was not measured; names, signatures, dates.",
}

--- What a bundle does not prove.
clauses.unproved = {
  "That the network is fit for its use: where an expert's mask was given, Dice is of one click in an image. The truth "
    .. "of `NUM-01` is the same network in double precision.",
  "That silicon computes as its emulator does. `DIG-01` says which of the two ran; the self-test repeats a known "
    .. "answer on the device.",
  "That the compiler is right for every input. `DIG-01` compares its code with the interpreter on the images given, "
    .. "no others.",
  "Time. Operations are counted, and a clock is on the board alone.",
  "Tests of msagen that `trace.csv` names: they are run by msagen's own check, not for this bundle. A `traced` row "
    .. "may rest on them.",
  "Rules of MISRA C that cppcheck's add-on does not look at, and directives.",
  "That nobody meddled with the bundle: the sums find accidents. Sign it.",
}

return clauses
