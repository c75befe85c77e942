-- A run is one file of these tables. Everything a report, a resumed or a rescored run needs is in here.

CREATE TABLE run (            -- the manifest: format, evalkit version, model, settings, versions; JSON values
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE cell (           -- one task under one protocol
    id INTEGER PRIMARY KEY,
    task TEXT NOT NULL,
    protocol TEXT NOT NULL,
    role TEXT NOT NULL,       -- validation: its samples are not scored, a threshold is chosen on them; else empty
    spec TEXT NOT NULL,       -- JSON: evalkit.benchmark.spec.CellSpec
    found TEXT NOT NULL,      -- JSON: what the run found out for it: the threshold, the validation curve
    finished INTEGER,         -- samples there were when the data ended; NULL: the run has not come to the end
    UNIQUE (task, protocol, role)
);

CREATE TABLE figure (         -- what was measured, written when a cell is finished; readers do not compute it again
    cell INTEGER NOT NULL,
    metric TEXT NOT NULL,     -- its name
    grp TEXT NOT NULL,        -- a group or tag; empty for the whole
    value REAL,               -- in the metric's unit; NULL: there is none
    low REAL,                 -- 95 % interval
    high REAL,
    n INTEGER NOT NULL,       -- judged samples
    PRIMARY KEY (cell, metric, grp)
) WITHOUT ROWID;

-- Rows are keyed in the order in which they come, and what is looked up by a hash has a small index of its
-- own: keyed by the hash itself, every row would touch a page of its own (three times the time).

CREATE TABLE request (        -- what was sent, once however often it was drawn
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE, -- 16 bytes of SHA-256 over body
    body TEXT NOT NULL        -- JSON
);

CREATE TABLE draw (           -- what came back; committed when it arrives
    request INTEGER NOT NULL REFERENCES request (id),
    draw INTEGER NOT NULL,
    cell INTEGER NOT NULL,
    sample TEXT NOT NULL,     -- the sample that asked first
    judge INTEGER NOT NULL,   -- 0: asked of the model that is evaluated, 1: of a judge model, 2: of a tool
    text TEXT NOT NULL,
    reasoning TEXT NOT NULL,
    finish TEXT NOT NULL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    seconds REAL NOT NULL,
    logprobs TEXT,            -- JSON: [[token, logprob, {token: logprob}], …]
    prompt_logprobs TEXT,     -- the same for the prompt, where it was asked for
    likelihoods TEXT,         -- JSON: [[continuation, logprob, tokens, greedy], …], where they were asked for
    tool_calls TEXT,          -- JSON: [[name, arguments, id], …]
    PRIMARY KEY (request, draw)
) WITHOUT ROWID;

CREATE TABLE generated (      -- the pictures and clips of a response; their small copies stand in media
    request INTEGER NOT NULL,
    draw INTEGER NOT NULL,
    place INTEGER NOT NULL,   -- in the response, from 0
    kind TEXT NOT NULL,       -- image, audio
    key TEXT NOT NULL,        -- hex SHA-256 of the file
    data BLOB,                -- the file; NULL where a slim run file left it out
    PRIMARY KEY (request, draw, place)
);

CREATE TABLE asked (          -- which responses are a sample's, in the order of asking
    cell INTEGER NOT NULL,
    position INTEGER NOT NULL,
    turn INTEGER NOT NULL,    -- the sample's requests in the order of their first draw, from 0
    draw INTEGER NOT NULL,
    request INTEGER NOT NULL REFERENCES request (id),
    branch TEXT NOT NULL,     -- the protocols that led to it, with slashes between; empty for the cell's own
    PRIMARY KEY (cell, position, turn, draw)
) WITHOUT ROWID;

CREATE TABLE sample (         -- a question, its answer and its score; written once it is judged, or failed
    cell INTEGER NOT NULL,
    position INTEGER NOT NULL,-- in the data set, from 0
    id TEXT NOT NULL,
    input TEXT NOT NULL,
    target TEXT NOT NULL,     -- JSON list
    choices TEXT NOT NULL,    -- JSON list
    grp TEXT NOT NULL,
    tags TEXT NOT NULL,       -- JSON list: further groups
    cluster TEXT NOT NULL,
    meta TEXT NOT NULL,       -- JSON object
    media TEXT NOT NULL,      -- JSON list: keys of what it shows
    question BLOB NOT NULL,   -- 16-byte digest of id, target, choices, group and meta
    asked BLOB NOT NULL,      -- 16-byte digest of the set of requests made for it, without what follows an answer
    outcome TEXT NOT NULL,    -- correct, wrong, unparsable, truncated, failed; answered: nothing to judge it by
    boundary TEXT NOT NULL,   -- of a failure: data, media, provider, tool, sandbox, judge, scorer
    error TEXT NOT NULL,
    answer TEXT NOT NULL,     -- JSON: finals, variants, branches, detail
    statistics BLOB NOT NULL, -- float64, little-endian: the columns of every metric, in order; empty if not judged
    PRIMARY KEY (cell, position)
) WITHOUT ROWID;

CREATE TABLE media (          -- a file that was sent, or generated, once however many samples have it
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE, -- hex SHA-256 of the file in the data set; of a clip of a video, with #t=START,END
    mime TEXT NOT NULL,       -- as it was sent; of a video, which is sent as pictures, the file's own
    width INTEGER NOT NULL,   -- pixels, of a video's frames; 0 for sound
    height INTEGER NOT NULL,
    seconds REAL NOT NULL,    -- 0 for pictures
    bytes INTEGER NOT NULL,
    preview BLOB NOT NULL     -- a small JPEG, or Ogg
);

CREATE TABLE error (          -- every failed attempt, also those that a retry fixed
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    cell INTEGER NOT NULL,
    sample TEXT NOT NULL,
    draw INTEGER NOT NULL,
    boundary TEXT NOT NULL,
    message TEXT NOT NULL
);
