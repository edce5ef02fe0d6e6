"""A call's figures by the minute, and its photographs"""

import sqlalchemy as sa
from alembic import op


revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('call_minute',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('consultation_id', sa.Uuid(), nullable=False),
    sa.Column('branch_id', sa.Uuid(), nullable=False),
    sa.Column('role', sa.String(), nullable=False),
    sa.Column('minute', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seconds', sa.Integer(), nullable=False),
    sa.Column('step', sa.String(), nullable=False),
    sa.Column('cuts', sa.Integer(), nullable=False),
    sa.Column('set_up_ms', sa.Integer(), nullable=True),
    sa.Column('concealed_pct', sa.Double(), nullable=True),
    sa.Column('freezes', sa.Integer(), nullable=False),
    sa.Column('frozen_s', sa.Double(), nullable=False),
    sa.Column('rtt_ms', sa.Integer(), nullable=False),
    sa.Column('loss_pct', sa.Double(), nullable=False),
    sa.Column('out_kbit_s', sa.Double(), nullable=False),
    sa.ForeignKeyConstraint(['branch_id'], ['branch.id'], name=op.f('fk_call_minute_branch_id_branch')),
    sa.ForeignKeyConstraint(['consultation_id'], ['consultation.id'], name=op.f('fk_call_minute_consultation_id_consultation')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_call_minute'))
    )
    with op.batch_alter_table('call_minute', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_call_minute_branch_id'), ['branch_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_call_minute_consultation_id'), ['consultation_id'], unique=False)

    op.create_table('call_photo',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('consultation_id', sa.Uuid(), nullable=False),
    sa.Column('patient_id', sa.Uuid(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('image', sa.LargeBinary(), nullable=True),
    sa.Column('image_rev', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['consultation_id'], ['consultation.id'], name=op.f('fk_call_photo_consultation_id_consultation')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_call_photo'))
    )
    with op.batch_alter_table('call_photo', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_call_photo_consultation_id'), ['consultation_id'], unique=False)


def downgrade() -> None:
    op.drop_table('call_photo')
    op.drop_table('call_minute')
