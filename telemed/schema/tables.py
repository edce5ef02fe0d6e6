"""Import every table, so that the metadata is whole."""

from telemed import outbox
from telemed.access import models as access
from telemed.booking import models as booking
from telemed.branches import models as branches
from telemed.checkup import models as checkup
from telemed.consultation import models as consultation
from telemed.crypto import keys, signing
from telemed.db import Base
from telemed.delivery import models as delivery
from telemed.feedback import models as feedback
from telemed.patients import models as patients
from telemed.pilot import models as pilot
from telemed.prescription import models as prescription
from telemed.readings import models as readings

METADATA = Base.metadata
MODULES = (
    access,
    booking,
    branches,
    checkup,
    consultation,
    delivery,
    feedback,
    keys,
    outbox,
    patients,
    pilot,
    prescription,
    readings,
    signing,
)
