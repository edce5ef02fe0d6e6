"""How a visit ends, and the visits of the wrong person"""

import sqlalchemy as sa
from alembic import op

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('visit', schema=None) as batch_op:
        batch_op.add_column(sa.Column('ending', sa.String(), nullable=True))
    with op.batch_alter_table('reading', schema=None) as batch_op:
        batch_op.add_column(sa.Column('aside_at', sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        'visit_set_aside',
        sa.Column('visit_id', sa.Uuid(), nullable=False),
        sa.Column('patient_id', sa.Uuid(), nullable=False),
        sa.Column('branch_id', sa.Uuid(), nullable=False),
        sa.Column('region_id', sa.Uuid(), nullable=False),
        sa.Column('whose', sa.String(), nullable=False),
        sa.Column('said_by', sa.Uuid(), nullable=False),
        sa.Column('said_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('booking_id', sa.Uuid(), nullable=True),
        sa.Column('cancel_asked_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('decided_by', sa.Uuid(), nullable=True),
        sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('decision', sa.String(), nullable=True),
        sa.CheckConstraint('decided_by IS NULL OR decided_by <> said_by', name='two_people_set_aside'),
        sa.ForeignKeyConstraint(['branch_id'], ['branch.id']),
        sa.ForeignKeyConstraint(['patient_id'], ['patient.id']),
        sa.ForeignKeyConstraint(['region_id'], ['region.id']),
        sa.ForeignKeyConstraint(['visit_id'], ['visit.id']),
        sa.PrimaryKeyConstraint('visit_id'),
    )
    with op.batch_alter_table('visit_set_aside', schema=None) as batch_op:
        batch_op.create_index('ix_visit_set_aside_branch_id', ['branch_id'], unique=False)
        batch_op.create_index('ix_visit_set_aside_region_id', ['region_id'], unique=False)


def downgrade() -> None:
    op.drop_table('visit_set_aside')
    with op.batch_alter_table('reading', schema=None) as batch_op:
        batch_op.drop_column('aside_at')
    with op.batch_alter_table('visit', schema=None) as batch_op:
        batch_op.drop_column('ending')
