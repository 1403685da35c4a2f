-- The tables that the pipeline fills, and a view on one of them, which goes on working.
CREATE SCHEMA IF NOT EXISTS raw;
CREATE SCHEMA IF NOT EXISTS curated;

CREATE TABLE IF NOT EXISTS raw.cases (
    documentId text NOT NULL,
    version integer NOT NULL,
    status text,
    statusTs bigint,
    claimNumber text,
    claimCoverage text,
    claimant text,
    lossDate date,
    demandAmount numeric(18, 2),
    demandTemplateId text,
    demandTemplatePinnedVersion integer,
    caseManagers text,
    assignedCaseCollaborator text[],
    attachments integer NOT NULL,
    demandDetails jsonb,
    createdTs bigint,
    lastUpdatedTs bigint
);

CREATE TABLE IF NOT EXISTS raw.metadata (
    documentId text NOT NULL,
    documentType text NOT NULL,
    fileName text,
    pages integer,
    sizeBytes bigint,
    tags text[],
    createdTs bigint,
    lastUpdatedTs bigint
);

CREATE TABLE IF NOT EXISTS raw.templates (
    templateId text NOT NULL,
    templateName text NOT NULL,
    version integer NOT NULL,
    defaultDemandConfig jsonb
);

CREATE TABLE IF NOT EXISTS raw.audit (
    auditRecordId text NOT NULL,
    documentId text NOT NULL,
    createdTs bigint,
    actionType text,
    lastArchiveReason text,
    lastArchiveComment text
);

CREATE OR REPLACE VIEW curated.open_cases AS
SELECT documentId, claimNumber, demandAmount FROM raw.cases WHERE status IS DISTINCT FROM 'ARCHIVED';
