"""A request's key is claimed before its work begins"""

import sqlalchemy as sa
from alembic import op


revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('stored_answer') as table:
        # what is stored so far was answered at its first attempt
        table.add_column(sa.Column('attempt', sa.Integer(), nullable=False, server_default='1'))
        table.add_column(sa.Column('leased_until', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('stored_answer') as table:
        table.drop_column('leased_until')
        table.drop_column('attempt')
