-- A run is one file with these tables. It holds everything that a report, a resumed run or rescoring needs.
-- The last column of each table is the checksum of the row (evalkit.runfile.seals).

CREATE TABLE run (            -- the manifest: format, evalkit version, model, settings, versions; JSON values
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    crc INTEGER
) WITHOUT ROWID;

CREATE TABLE cell (           -- one task under one protocol
    id INTEGER PRIMARY KEY,
    task TEXT NOT NULL,
    protocol TEXT NOT NULL,
    role TEXT NOT NULL,       -- validation: a threshold is chosen on its samples, which do not count; else empty
    spec TEXT NOT NULL,       -- JSON: evalkit.benchmark.spec.CellSpec
    found TEXT NOT NULL,      -- JSON: what the run determined for the cell: the threshold, the validation curve
    finished INTEGER,         -- number of samples when the data ended; NULL: the run has not reached the end
    crc INTEGER,
    UNIQUE (task, protocol, role)
);

CREATE TABLE cell_copy (      -- the rows of cell a second time: without its cell, nothing can be said of a sample
    id INTEGER PRIMARY KEY,
    task TEXT NOT NULL,
    protocol TEXT NOT NULL,
    role TEXT NOT NULL,
    spec TEXT NOT NULL,
    found TEXT NOT NULL,
    finished INTEGER,
    crc INTEGER
);

CREATE TABLE figure (         -- the figures, written when a cell is finished; readers do not compute them again
    cell INTEGER NOT NULL,
    metric TEXT NOT NULL,     -- the metric's name
    grp TEXT NOT NULL,        -- a group or tag; empty for all samples
    value REAL,               -- in the metric's unit; NULL: there is none
    low REAL,                 -- 95 % interval
    high REAL,
    n INTEGER NOT NULL,       -- scored samples
    crc INTEGER,
    PRIMARY KEY (cell, metric, grp)
) WITHOUT ROWID;

-- Rows are keyed in the order of insertion, and a hash used for lookup has a small separate index. If rows were
-- keyed by the hash itself, every insertion would touch a different page (three times the time).

CREATE TABLE request (        -- the requests; each one once, whatever the number of draws
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE, -- 16 bytes of SHA-256 over body
    body TEXT NOT NULL,       -- JSON
    crc INTEGER
);

CREATE TABLE draw (           -- the responses; each one is committed when it arrives
    request INTEGER NOT NULL REFERENCES request (id),
    draw INTEGER NOT NULL,
    cell INTEGER NOT NULL,
    sample TEXT NOT NULL,     -- the first sample with this request
    judge INTEGER NOT NULL,   -- source of the response: 0: the evaluated model, 1: a judge model, 2: a tool
    text TEXT NOT NULL,
    reasoning TEXT NOT NULL,
    finish TEXT NOT NULL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    seconds REAL NOT NULL,
    logprobs TEXT,            -- JSON: [[token, logprob, {token: logprob}], …]
    prompt_logprobs TEXT,     -- the same for the prompt, if requested; packed if long (evalkit.runfile.packed_tokens)
    likelihoods TEXT,         -- JSON: [[continuation, logprob, tokens, greedy], …], if requested
    tool_calls TEXT,          -- JSON: [[name, arguments, id], …]
    crc INTEGER,
    PRIMARY KEY (request, draw)
) WITHOUT ROWID;

CREATE TABLE generated (      -- the pictures and clips of a response; their small copies are in media
    request INTEGER NOT NULL,
    draw INTEGER NOT NULL,
    place INTEGER NOT NULL,   -- position in the response, from 0
    kind TEXT NOT NULL,       -- image, audio
    key TEXT NOT NULL,        -- hex SHA-256 of the file
    data BLOB,                -- the file; NULL in a slim run file
    crc INTEGER,
    PRIMARY KEY (request, draw, place)
);

CREATE TABLE asked (          -- the responses of each sample, in the order of its requests
    cell INTEGER NOT NULL,
    position INTEGER NOT NULL,
    turn INTEGER NOT NULL,    -- the sample's requests in the order of their first draw, from 0
    draw INTEGER NOT NULL,
    request INTEGER NOT NULL REFERENCES request (id),
    branch TEXT NOT NULL,     -- the protocols that led to it, separated by slashes; empty for the cell's own
    crc INTEGER,
    PRIMARY KEY (cell, position, turn, draw)
) WITHOUT ROWID;

CREATE TABLE sample (         -- a question, its answer and its score; written once it is scored, or failed
    cell INTEGER NOT NULL,
    position INTEGER NOT NULL,-- position in the data set, from 0
    id TEXT NOT NULL,
    input TEXT NOT NULL,
    target TEXT NOT NULL,     -- JSON list
    choices TEXT NOT NULL,    -- JSON list
    grp TEXT NOT NULL,
    tags TEXT NOT NULL,       -- JSON list: further groups
    cluster TEXT NOT NULL,
    meta TEXT NOT NULL,       -- JSON object
    media TEXT NOT NULL,      -- JSON list: keys of its pictures, clips and videos
    question BLOB NOT NULL,   -- 16-byte digest of id, target, choices, group and meta
    asked BLOB NOT NULL,      -- 16-byte digest of the set of its requests that do not depend on a response
    outcome TEXT NOT NULL,    -- correct, wrong, unparsable, truncated, refused, failed; answered: no public reference
    boundary TEXT NOT NULL,   -- where it failed: data, media, provider, tool, sandbox, judge, scorer, worker
    error TEXT NOT NULL,
    answer TEXT NOT NULL,     -- JSON: finals, variants, branches, detail
    statistics BLOB NOT NULL, -- float64, little-endian: the columns of every metric, in order; empty if not scored
    crc INTEGER,
    PRIMARY KEY (cell, position)
) WITHOUT ROWID;

CREATE TABLE media (          -- the files that were sent or generated; each one once, whatever the number of samples
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE, -- hex SHA-256 of the file in the data set; #t=START,END follows for a part of a video
    mime TEXT NOT NULL,       -- type of the file that was sent; for a video, which is sent as pictures, its own type
    width INTEGER NOT NULL,   -- pixels; of the frames for a video; 0 for sound
    height INTEGER NOT NULL,
    seconds REAL NOT NULL,    -- 0 for pictures
    bytes INTEGER NOT NULL,
    preview BLOB NOT NULL,    -- a small JPEG, or Ogg
    crc INTEGER
);

CREATE TABLE error (          -- every failed attempt, including those followed by a successful one
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    cell INTEGER NOT NULL,
    sample TEXT NOT NULL,
    draw INTEGER NOT NULL,
    boundary TEXT NOT NULL,
    message TEXT NOT NULL,
    crc INTEGER
);
