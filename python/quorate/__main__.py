"""``python -m quorate`` is the command line."""

import sys

from quorate.cli import main

sys.exit(main())
