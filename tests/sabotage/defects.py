"""The whole list, in the order of the promises."""

from typing import Final

from tests.sabotage.books import BOOKS
from tests.sabotage.defect import Defect
from tests.sabotage.desking import DESK
from tests.sabotage.differing import DIFFERING
from tests.sabotage.protecting import PROTECTING
from tests.sabotage.risking import RISKING
from tests.sabotage.sending import SENDING
from tests.sabotage.service import SERVICE

DEFECTS: Final[tuple[Defect, ...]] = (*SENDING, *BOOKS, *DIFFERING, *PROTECTING, *DESK, *RISKING, *SERVICE)
