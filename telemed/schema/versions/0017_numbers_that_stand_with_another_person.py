"""Numbers that stand with another person"""

import sqlalchemy as sa
from alembic import op

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('person_question',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('field', sa.String(), nullable=False),
    sa.Column('patient_id', sa.Uuid(), nullable=False),
    sa.Column('other_id', sa.Uuid(), nullable=False),
    sa.Column('branch_id', sa.Uuid(), nullable=False),
    sa.Column('claim', sa.LargeBinary(), nullable=True),
    sa.Column('claim_rev', sa.Integer(), nullable=False),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('asked_by', sa.Uuid(), nullable=False),
    sa.Column('verdict', sa.String(), nullable=True),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.Uuid(), nullable=True),
    sa.ForeignKeyConstraint(['other_id'], ['patient.id'], name=op.f('fk_person_question_other_id_patient')),
    sa.ForeignKeyConstraint(['patient_id'], ['patient.id'], name=op.f('fk_person_question_patient_id_patient')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_person_question')),
    sa.UniqueConstraint('patient_id', 'field', name=op.f('uq_person_question_patient_id_field'))
    )
    with op.batch_alter_table('person_question', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_person_question_branch_id'), ['branch_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_person_question_patient_id'), ['patient_id'], unique=False)


def downgrade() -> None:
    op.drop_table('person_question')
