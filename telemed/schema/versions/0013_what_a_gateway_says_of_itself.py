"""What a gateway says of itself"""

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('gateway', schema=None) as batch_op:
        batch_op.add_column(sa.Column('oldest_unsent_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('undecodable', sa.Integer(), server_default='0', nullable=False))
        batch_op.add_column(sa.Column('undecodable_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('outage_code', sa.String(), nullable=True))
        batch_op.add_column(sa.Column('outage_since', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('outage_until', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('gateway', schema=None) as batch_op:
        for name in (
            'outage_until', 'outage_since', 'outage_code', 'undecodable_at', 'undecodable', 'oldest_unsent_at',
        ):  # fmt: skip
            batch_op.drop_column(name)
