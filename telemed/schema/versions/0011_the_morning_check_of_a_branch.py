"""The morning check of a branch"""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('morning_check',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('branch_id', sa.Uuid(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('checked_by', sa.Uuid(), nullable=False),
    sa.Column('begun_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('camera', sa.String(), nullable=True),
    sa.Column('sound', sa.String(), nullable=True),
    sa.Column('line', sa.String(), nullable=True),
    sa.Column('meters', sa.String(), nullable=True),
    sa.Column('battery', sa.String(), nullable=True),
    sa.Column('strips', sa.String(), nullable=True),
    sa.Column('calibration', sa.String(), nullable=True),
    sa.Column('verdict', sa.String(), nullable=True),
    sa.ForeignKeyConstraint(['branch_id'], ['branch.id'], name=op.f('fk_morning_check_branch_id_branch')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_morning_check'))
    )
    with op.batch_alter_table('morning_check', schema=None) as batch_op:
        batch_op.create_index('ix_morning_check_branch_day', ['branch_id', 'day'], unique=False)

    with op.batch_alter_table('meter', schema=None) as batch_op:
        batch_op.add_column(sa.Column('calibration_due_on', sa.Date(), nullable=True))
        batch_op.add_column(sa.Column('strips_expire_on', sa.Date(), nullable=True))



def downgrade() -> None:
    with op.batch_alter_table('meter', schema=None) as batch_op:
        batch_op.drop_column('strips_expire_on')
        batch_op.drop_column('calibration_due_on')

    with op.batch_alter_table('morning_check', schema=None) as batch_op:
        batch_op.drop_index('ix_morning_check_branch_day')

    op.drop_table('morning_check')
