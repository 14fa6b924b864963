"""Build a cluster out of fault-tolerance protocols, propose values, break it on purpose, get a verdict.

>>> import quorate as q
>>> with q.Cluster("raft", nodes=5, seed=7) as c:
...     old = c.wait_leader()
...     c.propose("x = 1")
...     c.crash(old)
...     c.wait_leader()
...     print(c.check())
"""

from quorate import _boundary, aio
from quorate.awaits import AwaitableCampaign, AwaitableClient, AwaitableCluster
from quorate.ballots import Ballot
from quorate.benchmarks import bench
from quorate.campaigns import Campaign, CampaignResult, Run, Violation, campaign, replay
from quorate.captures import CaptureReplay
from quorate.catalogue import (
    bugs,
    detector_kinds,
    detector_options,
    fault_model,
    machines,
    options,
    protocols,
    ring_options,
    version,
)
from quorate.client import Client
from quorate.cluster import Cluster
from quorate.compare import Comparison, compare
from quorate.detect import (
    BertierDetector,
    Detector,
    MixtureDetector,
    NfdEDetector,
    NfdSDetector,
    Opinions,
    PhiDetector,
    PhiExponentialDetector,
    PollingDetector,
    ThresholdDetector,
    TimeoutDetector,
    phi,
)
from quorate.errors import (
    ArgumentError,
    BusyError,
    CasError,
    ClosedError,
    CorruptError,
    DataError,
    DeniedError,
    FailedError,
    ForeignError,
    ForkedError,
    FullError,
    InternalError,
    NewerError,
    NodeDownError,
    NoLeaderError,
    NotFoundError,
    NotLeaderError,
    OperatingError,
    OptionError,
    OutOfMemory,
    ParseError,
    QuorateError,
    RangeError,
    ScriptError,
    SessionError,
    StorageError,
    TooLargeError,
    UnknownOutcome,
    UnsupportedError,
    UsageError,
    WaitTimeout,
    WrongTypeError,
)
from quorate.grading import Grade, Points, grade
from quorate.history import AwaitableHistory, History, HistoryVerdict
from quorate.machine import StateMachine
from quorate.meter import Quality, measure, measure_opinions, nfd_quality
from quorate.mixture import GaussianMixture
from quorate.node import Node
from quorate.pending import AwaitablePending, Pending
from quorate.plan import Plan
from quorate.quorum import Quorum, quorum
from quorate.remote import NewKey, NodeEvent, Remote, connect, keygen
from quorate.results import CheckResult, Committed, Elected, LoadReport, Property
from quorate.ring import Balance, Move, Ring, jump, jump_many, maglev, moves, rendezvous_many
from quorate.seedrun import Decision, Entered, SeedRun
from quorate.shrinking import shrink
from quorate.soak import Soak, soak
from quorate.status import NodeStatus, Status
from quorate.trace import Trace
from quorate.transactions import Transaction
from quorate.twice import Twice, twice
from quorate.workload import Workload

__version__ = version()

__all__ = [
    "ArgumentError",
    "Balance",
    "Ballot",
    "BertierDetector",
    "BusyError",
    "Campaign",
    "CampaignResult",
    "CaptureReplay",
    "CasError",
    "CheckResult",
    "Client",
    "ClosedError",
    "Cluster",
    "Committed",
    "Comparison",
    "CorruptError",
    "DataError",
    "Decision",
    "DeniedError",
    "Detector",
    "Elected",
    "Entered",
    "FailedError",
    "ForeignError",
    "ForkedError",
    "FullError",
    "GaussianMixture",
    "Grade",
    "History",
    "HistoryVerdict",
    "InternalError",
    "LoadReport",
    "MixtureDetector",
    "Move",
    "NewKey",
    "NewerError",
    "NfdEDetector",
    "NfdSDetector",
    "NoLeaderError",
    "Node",
    "NodeDownError",
    "NodeEvent",
    "NodeStatus",
    "NotFoundError",
    "NotLeaderError",
    "OperatingError",
    "Opinions",
    "OptionError",
    "OutOfMemory",
    "ParseError",
    "Pending",
    "PhiDetector",
    "PhiExponentialDetector",
    "Plan",
    "Points",
    "PollingDetector",
    "Property",
    "Quality",
    "QuorateError",
    "Quorum",
    "RangeError",
    "Remote",
    "Ring",
    "Run",
    "ScriptError",
    "SeedRun",
    "SessionError",
    "Soak",
    "StateMachine",
    "Status",
    "StorageError",
    "ThresholdDetector",
    "TimeoutDetector",
    "TooLargeError",
    "Trace",
    "Transaction",
    "Twice",
    "UnknownOutcome",
    "UnsupportedError",
    "UsageError",
    "Violation",
    "WaitTimeout",
    "Workload",
    "WrongTypeError",
    "aio",
    "bench",
    "bugs",
    "campaign",
    "compare",
    "connect",
    "detector_kinds",
    "detector_options",
    "fault_model",
    "grade",
    "jump",
    "jump_many",
    "keygen",
    "machines",
    "maglev",
    "measure",
    "measure_opinions",
    "moves",
    "nfd_quality",
    "options",
    "phi",
    "protocols",
    "quorum",
    "rendezvous_many",
    "replay",
    "ring_options",
    "shrink",
    "soak",
    "twice",
    "version",
]

_boundary.watch(globals())
_boundary.watch(vars(aio))
for _awaitable in (AwaitableCampaign, AwaitableClient, AwaitableCluster, AwaitableHistory, AwaitablePending):
    _boundary.watch_class(_awaitable)
