"""A visit is bound to a kit"""

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('visit', schema=None) as batch_op:
        batch_op.add_column(sa.Column('kit_id', sa.Uuid(), nullable=True))
        batch_op.create_foreign_key('fk_visit_kit_id', 'kit', ['kit_id'], ['id'])


def downgrade() -> None:
    with op.batch_alter_table('visit', schema=None) as batch_op:
        batch_op.drop_constraint('fk_visit_kit_id', type_='foreignkey')
        batch_op.drop_column('kit_id')
