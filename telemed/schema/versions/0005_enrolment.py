"""How far the gateway has come with enrolling a meter"""

import sqlalchemy as sa
from alembic import op


revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('meter') as table:
        table.add_column(sa.Column('enrolment', sa.String(), nullable=True))
        table.add_column(sa.Column('enrolment_code', sa.String(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('meter') as table:
        table.drop_column('enrolment_code')
        table.drop_column('enrolment')
