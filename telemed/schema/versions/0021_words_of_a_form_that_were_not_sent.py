"""Words of a form that were not sent"""

import sqlalchemy as sa
from alembic import op

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'draft',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('author_id', sa.Uuid(), nullable=False),
        sa.Column('form', sa.String(), nullable=False),
        sa.Column('about', sa.String(), nullable=False),
        sa.Column('words', sa.LargeBinary(), nullable=True),
        sa.Column('words_rev', sa.Integer(), nullable=False),
        sa.Column('ended_page', sa.String(), nullable=False),
        sa.Column('saved_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_draft')),
        sa.UniqueConstraint('author_id', 'form', 'about', name=op.f('uq_draft_author_id_form_about')),
    )
    op.create_index(op.f('ix_draft_saved_at'), 'draft', ['saved_at'], unique=False)


def downgrade() -> None:
    op.drop_table('draft')
