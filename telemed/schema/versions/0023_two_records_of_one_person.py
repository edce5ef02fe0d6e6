"""Two records of one person"""

import sqlalchemy as sa
from alembic import op

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('person_pair',
    sa.Column('first_id', sa.Uuid(), nullable=False),
    sa.Column('second_id', sa.Uuid(), nullable=False),
    sa.Column('verdict', sa.String(), nullable=False),
    sa.Column('hidden_id', sa.Uuid(), nullable=True),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('decided_by', sa.Uuid(), nullable=True),
    sa.ForeignKeyConstraint(['first_id'], ['patient.id'], name=op.f('fk_person_pair_first_id_patient')),
    sa.ForeignKeyConstraint(['second_id'], ['patient.id'], name=op.f('fk_person_pair_second_id_patient')),
    sa.PrimaryKeyConstraint('first_id', 'second_id', name=op.f('pk_person_pair'))
    )
    with op.batch_alter_table('person_pair', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_person_pair_hidden_id'), ['hidden_id'], unique=False)


def downgrade() -> None:
    op.drop_table('person_pair')
