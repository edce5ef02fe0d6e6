"""The pressure series follows a rule: arm, tries and advice of each step, the branch's guideline"""

import sqlalchemy as sa
from alembic import op


revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('branch') as table:
        table.add_column(sa.Column('series_rule', sa.String(), nullable=True))
    with op.batch_alter_table('series_step') as table:
        table.add_column(sa.Column('arm', sa.String(), nullable=True))
        table.add_column(sa.Column('tries', sa.Integer(), nullable=False, server_default='0'))
        table.add_column(sa.Column('advice', sa.String(), nullable=True))
        table.add_column(sa.Column('reading_id', sa.Uuid(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('series_step') as table:
        for name in ('reading_id', 'advice', 'tries', 'arm'):
            table.drop_column(name)
    with op.batch_alter_table('branch') as table:
        table.drop_column('series_rule')
