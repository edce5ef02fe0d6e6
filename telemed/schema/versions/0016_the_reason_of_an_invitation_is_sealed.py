"""The reason of an invitation is sealed

The plain reasons stay where they are until the job of the start has sealed them: a revision has no keys.
"""

import sqlalchemy as sa
from alembic import op

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Columns are added only: SQLite would make the table anew for any other change, and bookings point at it.
    with op.batch_alter_table('invitation', schema=None) as batch_op:
        batch_op.add_column(sa.Column('clinical', sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column('clinical_rev', sa.Integer(), nullable=False, server_default='0'))


def downgrade() -> None:
    with op.batch_alter_table('invitation', schema=None) as batch_op:
        batch_op.drop_column('clinical_rev')
        batch_op.drop_column('clinical')
