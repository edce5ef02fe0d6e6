"""People are indexed by one spelling

The new index stands beside the old one until the job of the start has indexed everybody anew: a revision has no keys.
"""

import sqlalchemy as sa
from alembic import op

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('people_index',
    sa.Column('form', sa.Integer(), nullable=False),
    sa.Column('cursor', sa.Uuid(), nullable=True),
    sa.Column('total', sa.Integer(), nullable=False),
    sa.Column('done', sa.Integer(), nullable=False),
    sa.Column('erased', sa.Integer(), nullable=False),
    sa.Column('damaged', sa.Integer(), nullable=False),
    sa.Column('began_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('form', name=op.f('pk_people_index'))
    )
    with op.batch_alter_table('patient', schema=None) as batch_op:
        batch_op.add_column(sa.Column('name_index', sa.LargeBinary(), nullable=True))
        batch_op.create_index(batch_op.f('ix_patient_name_index'), ['name_index'], unique=False)


def downgrade() -> None:
    with op.batch_alter_table('patient', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_patient_name_index'))
        batch_op.drop_column('name_index')
    op.drop_table('people_index')
