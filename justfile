# Every recipe is one line to type. `just` lists them.

export PATH := justfile_directory() / "node_modules/.bin:" + env("PATH")

_default:
    @just --list --unsorted

# Install exactly what the lockfile says
install:
    npm ci

# Types, lint and tidy: seconds
check:
    npm run check

# Every test but clients and nightly: minutes
test *FILTER:
    npm test -- {{FILTER}}

# Unmodified S3 clients against a running server
clients *ARGS:
    npm run test:clients -- {{ARGS}}

# Kill the server at any instant; nothing acknowledged is lost
crash:
    npx vitest run test/crash

# The same for hours
crash-nightly:
    npx vitest run --config vitest.nightly.config.ts

# The protocols' models, exhausted, and every rule left out once, noticed: just tla chunk
tla *ARGS:
    npm run tla -- {{ARGS}}

# The same models with larger constants: hours
tla-nightly *ARGS:
    npm run tla -- --nightly {{ARGS}}

# Clusters of bare consensus machines: just sim-raft --seeds 5000 --from 1
sim-raft *ARGS:
    npm run sim:raft -- {{ARGS}}

# Clusters of replicas with the real namespace: just sim-replica --seeds 500 --from 1
sim-replica *ARGS:
    npm run sim:replica -- {{ARGS}}

# Worlds of carriers: just sim-carrier --seeds 100 --from 1
sim-carrier *ARGS:
    npm run sim:carrier -- {{ARGS}}

# Whole stores of several members, one a seed
sim-members *ARGS:
    npm run sim:members -- {{ARGS}}

# Simulated worlds: just sim --seed 7, just sim --minutes 10 --workers 2
sim *ARGS:
    npm run sim -- {{ARGS}}

# How many worlds were green since the code last changed
tally:
    npm run sim -- --tally

# What the documents promise, as commands
claims *FILTER:
    npm run claims -- {{FILTER}}

# Measured paths, with the machine's ceilings
bench *ARGS:
    npm run bench -- {{ARGS}}

# Serve; flags go through: just start --data DIRECTORY
start *ARGS:
    npm start -- {{ARGS}}

# Three members of a cluster on this machine, and their state as it changes: just cluster --data DIRECTORY
cluster *ARGS:
    npm run cluster -- {{ARGS}}

# Three members of the program as it was at a commit become today's, under load: just upgrade REV
upgrade REV:
    npm run upgrade -- {{REV}}

# What a clean clone must pass
ci:
    .ci/run
