"""The tables in which what was asked, answered and said of answers is kept."""

import sqlalchemy as sql

TABLES = sql.MetaData()
SETTINGS = sql.Table(
    "serving_settings",
    TABLES,
    sql.Column("name", sql.String(64), primary_key=True),
    sql.Column("value", sql.Text, nullable=False),
)
INTERACTIONS = sql.Table(
    "interactions",
    TABLES,
    sql.Column("id", sql.String(64), primary_key=True),
    sql.Column("created", sql.Float, nullable=False, index=True),
    sql.Column("person", sql.String(64), index=True),
    sql.Column("model", sql.String(256), nullable=False),
    sql.Column("runtime", sql.String(32), nullable=False),
    sql.Column("kind", sql.String(16), nullable=False),
    sql.Column("asked", sql.Text, nullable=False),
    sql.Column("answers", sql.Text, nullable=False),
    sql.Column("settings", sql.Text, nullable=False),
    sql.Column("outcome", sql.String(16), nullable=False),
    sql.Column("prompt_tokens", sql.Integer, nullable=False),
    sql.Column("answer_tokens", sql.Integer, nullable=False),
    sql.Column("first_token_seconds", sql.Float),
    sql.Column("seconds", sql.Float, nullable=False),
    sql.Column("scrubbed", sql.Integer, nullable=False),
)
FEEDBACK = sql.Table(
    "feedback",
    TABLES,
    sql.Column("id", sql.String(64), primary_key=True),
    sql.Column("created", sql.Float, nullable=False, index=True),
    sql.Column("interaction", sql.String(64), sql.ForeignKey(INTERACTIONS.c.id), nullable=False, index=True),
    sql.Column("person", sql.String(64), index=True),
    sql.Column("choice", sql.Integer, nullable=False),
    sql.Column("thumb", sql.Integer),
    sql.Column("comment", sql.Text, nullable=False),
    sql.Column("correction", sql.Text, nullable=False),
    sql.Column("other", sql.String(64), sql.ForeignKey(INTERACTIONS.c.id), index=True),
    sql.Column("preferred", sql.String(16)),
)
