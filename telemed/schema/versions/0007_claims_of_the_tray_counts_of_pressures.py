"""Claims of the tray, counts of pressures"""

import sqlalchemy as sa
from alembic import op


revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('counted_up_to',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('stored_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_counted_up_to'))
    )
    op.create_table('pressure_count',
    sa.Column('branch_id', sa.Uuid(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('readings', sa.Integer(), nullable=False),
    sa.Column('from_130', sa.Integer(), nullable=False),
    sa.Column('from_140', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['branch_id'], ['branch.id'], name=op.f('fk_pressure_count_branch_id_branch')),
    sa.PrimaryKeyConstraint('branch_id', 'day', name=op.f('pk_pressure_count'))
    )
    with op.batch_alter_table('quarantined_item', schema=None) as batch_op:
        batch_op.add_column(sa.Column('visit_id', sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column('claim_reason', sa.String(), nullable=True))
        batch_op.add_column(sa.Column('claimed_by', sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column('claimed_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('decided_by', sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('decision', sa.String(), nullable=True))
        batch_op.add_column(sa.Column('reading_id', sa.Uuid(), nullable=True))
        batch_op.create_index(batch_op.f('ix_quarantined_item_visit_id'), ['visit_id'], unique=False)
        batch_op.create_check_constraint(
            batch_op.f('ck_quarantined_item_two_people'), 'decided_by IS NULL OR decided_by <> claimed_by'
        )

    with op.batch_alter_table('reading', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_reading_stored_at'), ['stored_at'], unique=False)


def downgrade() -> None:
    with op.batch_alter_table('reading', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_reading_stored_at'))

    with op.batch_alter_table('quarantined_item', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('ck_quarantined_item_two_people'), type_='check')
        batch_op.drop_index(batch_op.f('ix_quarantined_item_visit_id'))
        batch_op.drop_column('reading_id')
        batch_op.drop_column('decision')
        batch_op.drop_column('decided_at')
        batch_op.drop_column('decided_by')
        batch_op.drop_column('claimed_at')
        batch_op.drop_column('claimed_by')
        batch_op.drop_column('claim_reason')
        batch_op.drop_column('visit_id')

    op.drop_table('pressure_count')
    op.drop_table('counted_up_to')
